#!/bin/sh
# Sample plugin: counts the rows of a STAR file of positions and decides. Arguments come as they are, never through a shell.
set -eu
star=$1 minimum=$2
[ -r "$star" ] || { echo "$star: cannot be read" >&2; exit 1; }
# Rows are the lines that hold numbers only in their first field.
count=$(grep -c '^[[:space:]]*[-+0-9.]' "$star" || true)
if [ "$count" -ge "$minimum" ]; then accepted=true reason=; else accepted=false reason="$count positions, at least $minimum are wanted"; fi
cat > result.json <<END
{"outputs": {"decision": [{"accepted": $accepted, "rule": "count", "value": $count, "limit": $minimum, "reason": "$reason"}]}}
END
