// Whether files reach the disk before they appear under their names.
#pragma once

namespace frazil {

/// On (the default): AtomicFile syncs, which the order of commits in a project rests on. Off: files are whole or absent
/// all the same, but the operating system writes them to disk when it sees fit, as with cp; for commands whose results
/// nobody records.
void set_durable(bool durable);
[[nodiscard]] bool is_durable();

}  // namespace frazil
