"""Unpacks parts of a wheel: WHEEL OUT SOURCE=TARGET… (a SOURCE that ends in "/" is a folder)."""
import os
import shutil
import sys
import zipfile

wheel, out, *rules = sys.argv[1:]
try:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        for rule in rules:
            source, target = rule.split("=")
            if source.endswith("/"):
                found = [(name, target + name[len(source):]) for name in names if name.startswith(source)]
            else:
                found = [(name, target) for name in names if name == source]
            if not found:
                sys.exit("no entry " + source)
            for name, path in found:
                if ".." in path.split("/"):
                    sys.exit("unsafe entry " + name)
                path = os.path.join(out, path)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with archive.open(name) as reader, open(path, "wb") as writer:
                    shutil.copyfileobj(reader, writer, 1 << 20)
    # One flush for thousands of headers: a rename must not outlive the data after a power cut.
    os.sync()
except Exception as error:
    sys.exit(str(error) or repr(error))
