"""`python -m keras_vae NAME ...`: the program `keras-vae`."""

import sys

from keras_vae.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
