"""`keras-vae export` of this checkout."""

import sys

from keras_vae.cli.export import main

if __name__ == "__main__":
    sys.exit(main())
