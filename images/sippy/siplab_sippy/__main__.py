"""python3 -m siplab_sippy: the container's main process."""

from .server import main

if __name__ == "__main__":
    main()
