"""`keras-vae visualize` of this checkout."""

import sys

from keras_vae.cli.visualize import main

if __name__ == "__main__":
    sys.exit(main())
