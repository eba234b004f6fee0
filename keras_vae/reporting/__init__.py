"""What a person opens afterwards: plots, a report, an explorer."""
