"""Makes the policy a component: dist/{{name}}.wasm. A policy imports nothing, so what Python would
import of WASI is replaced by stubs that trap."""

import subprocess
import sys
from pathlib import Path

project = Path(__file__).parent
output = project / "dist/{{name}}.wasm"
output.parent.mkdir(exist_ok=True)
tool = Path(sys.executable).with_name("componentize-py")
command = [tool, "--quiet", "-d", "wit", "-w", "farebox-policy"]
command += ["componentize", "--stub-wasi", "policy", "-o", output]
subprocess.run(command, cwd=project, check=True)
print(f"dist/{output.name}: {output.stat().st_size} bytes")
