"""`python -m tora_agent` is `tora`."""

from tora_agent.cli import main

if __name__ == "__main__":
    main()
