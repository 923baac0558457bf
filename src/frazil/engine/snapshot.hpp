// The whole state of a project as one JSON object: what pages and scripts are made from that want everything at once.
//
// {
//   "project": {"folder", "name", "title", "state", "created", "seconds"},
//   "workflow": {…as in workflow.json…}, "values": {parameter: value},
//   "steps": [                                   in topological order
//     {"name", "title", "protocol", "version", "cites", "shape", "params", "inputs": {port: ["step.port"]},
//      "where": ["step.port"], "closed", "note",
//      "counts": {"waiting", "queued", "running", "done", "failed", "accepted", "set_aside", "versions"},
//      "seconds": {"median", "mean", "total"}, "peak_mib",
//      "sets": [{"port", "kind", "items": [{"id", "subject", "label", "order", "record": {…}}]}],  sorted by order key
//      "decisions": [{"item", "subject", "label", "accepted", "rule", "value", "limit", "reason", "by", "actor",
//        "title", "time"}],                                                                           of items in play
//      "failures": [{"subject", "label", "code", "message", "attempts", "time"}],
//      "tasks": [{"subject", "label", "seconds", "peak_mib", "threads", "finished"}]}],
//   "files": [{"step", "path", "state": "item|duplicate|broken|excluded|growing", "subject", "reason", "time"}],
//   "events": [{"n", "time", "kind", "step", "label", "text", "actor"}],       the last 500
//   "status": {…as `frazil status --json`…}
// }
// A subject is what an item descends from (a movie, or one version of a fold): the same text joins items of different
// steps. Times are seconds since 1970. File names in records are relative to the folder of the project.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

#include "frazil/engine/view.hpp"

namespace frazil::engine {

/// Writes the snapshot as JSON text, piece by piece: it is large, and nobody needs to hold it whole.
void write_snapshot(const Reading& reading, const std::function<void(std::string_view piece)>& write);

/// The same as an object.
[[nodiscard]] Json snapshot_of(const Reading& reading);

/// Snapshot of a project: from the engine that works on it if there is one, else from the store.
/// @throws Error(not_found) if the folder is no project
[[nodiscard]] Json read_snapshot(const std::filesystem::path& project, const flow::Registry& registry);

}  // namespace frazil::engine
