"""What a person opens afterwards: figures, a report, an explorer."""
