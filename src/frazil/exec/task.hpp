// What an executor is asked to run and what it reports back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "frazil/base/error.hpp"

namespace frazil::exec {

/// Port name and the records on it, each as JSON text.
using RecordTexts = std::vector<std::pair<std::string, std::vector<std::string>>>;

/// One execution of one protocol.
struct Task {
  std::uint64_t number = 0;  ///< chosen by the engine, unique in its lifetime
  std::string protocol;
  std::string params = "{}";  ///< JSON text
  RecordTexts inputs, previous;
  bool has_previous = false;
  std::string seed;                   ///< text from which the random numbers follow
  std::string temporary;              ///< folder to write outputs to, relative to the project; made when first needed
  std::string reference;              ///< folder that the outputs will lie in, relative to the project
  std::string log_name;               ///< name of the log kept when it fails, without folder
  int threads = 1, memory_mib = 512;  ///< of this machine; none for a task that a proxy hands on
  std::string gpus;                   ///< as CUDA_VISIBLE_DEVICES wants them
};

/// How it ended.
struct Result {
  std::uint64_t number = 0;
  RecordTexts outputs;
  bool failed = false;
  ErrorCode code = ErrorCode::bug;
  std::string message;
  bool killed = false;     ///< the worker is gone: `message` says how
  bool has_files = false;  ///< the temporary folder exists and is synced
  double seconds = 0;
  int peak_mib = 0, threads = 1;
  std::string target;  ///< CPU target
};

}  // namespace frazil::exec
