// What engine, proxies, hub and workers say to each other, declared once. Each message is a JSON object with one
// member, whose name says what the message is. Behind a message of tasks or results comes a line feed and then the
// texts of all records, one after another: the object gives their lengths, so that whoever passes them on or stores
// them need not take them apart.
//
//   engine → worker: tasks, cancel, yield, resume    worker → engine: results, progress, paused; started to a hub
//   whoever connects to a hub → hub: hello, before anything else
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "frazil/exec/task.hpp"
#include "frazil/flow/protocol.hpp"

namespace frazil::exec {

/// How far a task has come.
struct Progress {
  static constexpr std::string_view name = "progress";
  std::uint64_t number = 0;
  double fraction = 0;  ///< done, 0 to 1; NaN: not known
  std::string what;     ///< in a few words
  static constexpr auto fields() {
    using P = Progress;
    return std::tuple(field(&P::number, "task", "Number"), field(&P::fraction, "fraction", "Share that is done"),
                      field(&P::what, "what", "In words"));
  }
};

/// A worker with several tasks begins this one.
struct Started {
  static constexpr std::string_view name = "started";
  std::uint64_t number = 0;
  static constexpr auto fields() { return std::tuple(field(&Started::number, "task", "Number")); }
};

/// These tasks are no longer wanted.
struct Cancel {
  static constexpr std::string_view name = "cancel";
  std::vector<std::uint64_t> tasks;  ///< empty: all of the receiver
  static constexpr auto fields() { return std::tuple(field(&Cancel::tasks, "tasks", "Numbers")); }
};

/// Others need the threads of this task: it pauses where it checks for cancellation, or stops.
struct Yield {
  static constexpr std::string_view name = "yield";
  std::uint64_t number = 0;
  static constexpr auto fields() { return std::tuple(field(&Yield::number, "task", "Number")); }
};

/// It may go on.
struct Resume {
  static constexpr std::string_view name = "resume";
  std::uint64_t number = 0;
  static constexpr auto fields() { return std::tuple(field(&Resume::number, "task", "Number")); }
};

/// The answer to Yield: it holds its memory and uses no threads.
struct Paused {
  static constexpr std::string_view name = "paused";
  std::uint64_t number = 0;
  static constexpr auto fields() { return std::tuple(field(&Paused::number, "task", "Number")); }
};

/// Who connects to a hub.
struct Hello {
  static constexpr std::string_view name = "hello";
  std::string token;    ///< of this run of the engine
  std::string role;     ///< "worker" or "proxy"
  std::string flavour;  ///< of a worker: the step it serves, empty: all others
  std::string host, job;
  int process = 0;
  static constexpr auto fields() {
    using H = Hello;
    return std::tuple(field(&H::token, "token", "Of this run"), field(&H::role, "role", "worker or proxy"),
                      field(&H::flavour, "flavour", "Step served"), field(&H::host, "host", "Where it runs"),
                      field(&H::job, "job", "Of the queue"), field(&H::process, "process", "Its id"));
  }
};

/// Text of a message. @param M  one of the above
template <class M>
[[nodiscard]] std::string encode(const M& message) {
  return Json{{std::string(M::name), record_to_json(message)}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}
/// Tasks for one worker, run one after another. Records and parameters are JSON text already and go as they are.
[[nodiscard]] std::string encode(const std::vector<Task>& tasks);
[[nodiscard]] std::string encode(const std::vector<Result>& results);

/// A task as its worker takes it.
struct ReceivedTask : TaskHead {
  Json params;
  flow::Records inputs;
  std::optional<flow::Records> previous;
};

/// A message that has come, read as what it is.
class Message {
 public:
  /// @throws Error(corrupt) for anything that is no message
  explicit Message(std::string_view text);

  /// The message, if it is one of this kind. @throws Error(corrupt) when its members are wrong
  template <class M>
  [[nodiscard]] std::optional<M> find() const {
    return kind_ == M::name ? std::optional(read<M>(body_)) : std::nullopt;
  }
  [[nodiscard]] bool has_tasks() const { return kind_ == "tasks"; }
  [[nodiscard]] bool has_results() const { return kind_ == "results"; }
  /// Of tasks or results: what their kind has in common. @throws Error(corrupt)
  [[nodiscard]] std::vector<TaskHead> task_heads() const;
  [[nodiscard]] std::vector<ResultHead> result_heads() const;
  /// @throws Error(corrupt)
  [[nodiscard]] std::vector<ReceivedTask> tasks() const;
  [[nodiscard]] std::vector<Result> results() const;

 private:
  template <class M>
  static M read(const Json& json) {
    M message;
    if (const auto problem = frazil::detail::value_from_json(json, message); !problem.empty()) refuse(problem);
    return message;
  }
  [[noreturn]] static void refuse(std::string_view problem);
  [[nodiscard]] const Json& list(std::string_view kind) const;

  std::string kind_;
  Json body_;
  std::string records_;  ///< all texts
};

/// "extract" of a task whose outputs go to steps/extract/…
[[nodiscard]] std::string step_of(const TaskHead& task);

}  // namespace frazil::exec
