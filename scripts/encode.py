"""`keras-vae encode` of this checkout."""

import sys

from keras_vae.cli.encode import main

if __name__ == "__main__":
    sys.exit(main())
