// What a person gives as the result of a step: files, read like any input and held against the same rules as what a
// plugin gives back.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "frazil/flow/answer.hpp"

namespace frazil::plugin {

/// Reads the result of `protocol` for these inputs from a person's files: for every output that must be there, the file
/// that holds its kind, and of its records the one that belongs to the inputs.
/// @return records by port, naming copies of the files. @throws Error(bad_input) when a file fits nothing, an output
/// has none, or what a file holds belongs to something else; Error(external) as for plugins: empty files, positions
/// outside their image, counts that differ
[[nodiscard]] flow::Records read_answer(const flow::Protocol& protocol, const flow::Records& inputs,
                                        const std::vector<std::filesystem::path>& files,
                                        const flow::AnswerPlace& place);

}  // namespace frazil::plugin
