"""`keras-vae train` of this checkout."""

import sys

from keras_vae.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
