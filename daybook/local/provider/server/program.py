"""The stand-in's process, started by its path. It ends with its parent process: see `ministack_process`."""

import sys
import threading
from pathlib import Path

from daybook.local.ministack_process import exit_with_parent
from daybook.local.provider.server.service import Service


def main(folder: Path, port: int) -> None:
    """Serve on the port, or on a free one for 0. Once ready, it writes the port to the file `port` in `folder`."""
    threading.Thread(target=exit_with_parent, args=(str(folder),), daemon=True).start()
    try:
        service = Service(port)
    except (OSError, OverflowError) as error:
        sys.exit(f"Cannot listen on port {port}: {error}")
    draft = folder / "port.draft"
    draft.write_text(str(service.server_port))
    draft.rename(folder / "port")
    service.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
