// All requests to a project, answered: reads from what the view has published, in the thread of whoever asks; writes by
// the engine. The command socket is one way in; others use the same object.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "frazil/engine/command.hpp"
#include "frazil/engine/view.hpp"
#include "frazil/engine/what_if.hpp"

namespace frazil::engine {

class Service {
 public:
  /// What it needs of whoever holds the project; all are called from any thread.
  struct Doors {
    std::function<std::shared_ptr<const State>()> state;
    /// Carries a command out; what it changed can be read when this returns. @throws Error
    std::function<Json(const Command&)> act;
  };
  /// @param reader  of the project, for this object alone
  Service(Doors doors, std::unique_ptr<store::Reader> reader, const flow::Registry& registry);

  /// {"ok": true, …} or {"ok": false, "error", "code"}.
  [[nodiscard]] Json serve(const Json& request);
  /// The same as text of one line, in pieces as they are made.
  void serve(const Json& request, const std::function<void(std::string_view piece)>& write);
  /// True if this request changes something, or is none.
  [[nodiscard]] static bool writes(std::string_view command);
  /// The description of the command socket, as in docs/api/engine-socket.json.
  [[nodiscard]] static Json describe();

  [[nodiscard]] Judge& judge() { return judge_; }

 private:
  struct Entry;
  static const std::vector<Entry>& entries();
  [[nodiscard]] Reading reading();
  Json answer(const Json& request);
  Json decide(const std::vector<std::string>& names, Command command);
  Json set(const Json& values, Command command);
  Json ask_what_if(const Json& values);
  Changed changed_by(const Reading& now, const Json& values) const;

  Doors doors_;
  std::unique_ptr<store::Reader> reader_;
  const flow::Registry& registry_;
  Judge judge_;
};

}  // namespace frazil::engine
