// How a person's answer becomes the result of a step.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "frazil/flow/protocol.hpp"

namespace frazil::flow {

/// Where the files of an answer go.
struct AnswerPlace {
  std::filesystem::path project;    ///< inputs are relative to it
  std::filesystem::path temporary;  ///< folder that the files are copied to; made when first needed
  std::string reference;            ///< folder that they will lie in, relative to the project
};

/// Reads the result of a protocol for these inputs from a person's files, and checks it. @return records by port,
/// naming copies of the files. @throws Error saying what is wrong with them
using ReadAnswer = std::function<Records(const Protocol& protocol, const Records& inputs,
                                         const std::vector<std::filesystem::path>& files, const AnswerPlace& place)>;

}  // namespace frazil::flow
