// What an executor is asked to run and what it reports back.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "frazil/base/error.hpp"
#include "frazil/params/fields.hpp"

namespace frazil {

constexpr auto names_of(ErrorCode) {
  return std::array{"io",      "resource",    "external",  "bad_input", "not_found",
                    "corrupt", "unsupported", "cancelled", "bug"};
}

}  // namespace frazil

namespace frazil::exec {

/// Port name and the records on it, each as JSON text.
using RecordTexts = std::vector<std::pair<std::string, std::vector<std::string>>>;

/// What a worker is told of one execution beside parameters and records.
struct TaskHead {
  std::uint64_t number = 0;  ///< chosen by the engine, unique in its lifetime
  std::string protocol;
  std::string seed;            ///< text from which the random numbers follow
  std::string temporary;       ///< folder to write outputs to, relative to the project; made when first needed
  std::string reference;       ///< folder that the outputs will lie in, relative to the project
  std::string log_name;        ///< name of the log kept when it fails, without folder
  int threads = 1;             ///< of this machine; none for a task that a proxy hands on
  std::string gpus;            ///< as CUDA_VISIBLE_DEVICES wants them
  std::string device = "cpu";  ///< class of the device that it computes on
  static constexpr auto fields() {
    using T = TaskHead;
    return std::tuple(field(&T::number, "task", "Number"), field(&T::protocol, "protocol", "What runs"),
                      field(&T::seed, "seed", "Text behind the random numbers"),
                      field(&T::temporary, "temporary", "Folder written to"),
                      field(&T::reference, "reference", "Folder in the end"), field(&T::log_name, "log", "Kept log"),
                      field(&T::threads, "threads", "Threads"), field(&T::gpus, "gpus", "Numbers of GPUs"),
                      field(&T::device, "device", "Class of the device"));
  }
};

/// One execution of one protocol.
struct Task : TaskHead {
  std::string params = "{}";  ///< JSON text in one line
  RecordTexts inputs, previous;
  bool has_previous = false;
  int memory_mib = 512;  ///< of this machine
};

/// What a worker tells of an execution beside its records.
struct ResultHead {
  std::uint64_t number = 0;
  bool failed = false;
  ErrorCode code = ErrorCode::bug;
  std::string message;
  bool has_files = false;  ///< the temporary folder exists and is synced
  double seconds = 0;
  int peak_mib = 0;
  std::string target;             ///< CPU target
  bool no_space = false;          ///< it failed because a disk or quota is full: not the task's fault
  std::vector<std::string> read;  ///< input files that were read to their end, each followed by its content_hash
  static constexpr auto fields() {
    using R = ResultHead;
    return std::tuple(field(&R::number, "task", "Number"), field(&R::failed, "failed", "Gave no result"),
                      field(&R::code, "code", "Kind of failure"), field(&R::message, "message", "What is wrong"),
                      field(&R::has_files, "files", "Wrote files"), field(&R::seconds, "seconds", "Time taken"),
                      field(&R::peak_mib, "peak_mib", "Peak memory"), field(&R::target, "target", "CPU target"),
                      field(&R::no_space, "no_space", "No space left to write"),
                      field(&R::read, "read", "Input files and their contents"));
  }
};

/// How it ended.
struct Result : ResultHead {
  RecordTexts outputs;
  bool killed = false;  ///< the worker is gone: `message` says how
  bool blamed = true;   ///< of those killed: it ran when the worker died, or may have; false: it had not begun
  int threads = 1;
};

}  // namespace frazil::exec
