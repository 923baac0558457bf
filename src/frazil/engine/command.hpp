// What people and programs ask an engine to do, and the way from their threads into its loop.
#pragma once

#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "frazil/base/error.hpp"
#include "frazil/params/json.hpp"

namespace frazil::engine {

struct Said;
/// What filters say under parameters that are set, by name and key of the planned step (judge.hpp).
using Foretold = std::map<std::pair<std::string, std::string>, std::vector<Said>>;

/// One request that changes something, with names resolved.
struct Command {
  enum class Kind {
    restore,
    set_aside,
    approve,
    answer,
    cancel,
    acknowledge,
    set,
    pause,
    resume,
    close,
    stop
  } kind = Kind::pause;
  std::vector<std::string> subjects = {};  ///< ids, of restore and set_aside
  std::string step = {};                   ///< of approve; of answer, the question; of cancel, the task or step; of
                                           ///< acknowledge, the alarm's number
  std::vector<std::string> files = {};     ///< of answer: absolute names
  std::optional<bool> accept = {};         ///< of answer, where that is asked
  Json values = Json::object();            ///< of set
  std::shared_ptr<const Foretold> foretold = {};  ///< of set
  std::string reason = {}, actor = {};            ///< in a person's words; the person's name
};

/// What it came to.
struct Done {
  Json answer = Json::object();
  std::int64_t sequence = 0;  ///< of the commit that holds it
};

/// Those who ask wait in their own threads; the loop serves them when it comes to it.
class Mailbox {
 public:
  Mailbox();
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  /// Waits for the answer. @throws Error as the engine does, Error(cancelled) if it ends meanwhile or has ended
  [[nodiscard]] Done post(Command command);
  /// Readable (as in poll) when `serve` has something to do.
  [[nodiscard]] int descriptor() const { return event_; }
  /// In the loop: carries out what has come.
  void serve(const std::function<Done(const Command&)>& execute);
  /// From now on nobody serves.
  void close();

 private:
  struct Refusal {  // an Error's text may be shared by its copies, and these cross threads
    ErrorCode code;
    std::string reason;
  };
  using Reply = std::variant<Done, Refusal>;
  struct Letter {
    Command command;
    std::promise<Reply> answer;
  };
  std::mutex mutex_;
  std::deque<Letter> letters_;
  bool closed_ = false;
  int event_ = -1;
};

/// The name under which the user of this process logs in; its number if it has none.
[[nodiscard]] std::string login_name();

}  // namespace frazil::engine
