"""`keras-vae evaluate` of this checkout."""

import sys

from keras_vae.cli.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
