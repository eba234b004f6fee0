"""`keras-vae check` of this checkout."""

import sys

from keras_vae.cli.check import main

if __name__ == "__main__":
    sys.exit(main())
