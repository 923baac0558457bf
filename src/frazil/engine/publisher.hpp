// All that others see of a running engine: view, service, control socket, STAR files, report. The engine feeds it after
// its commits, and serves the commands that come out of its mailbox; nothing here waits for the engine or holds it up.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "frazil/engine/control.hpp"
#include "frazil/engine/service.hpp"
#include "frazil/engine/star_writer.hpp"
#include "frazil/engine/state_watch.hpp"

namespace frazil::engine {

/// Calls a function with what is published, in a thread of its own.
class Follower {
 public:
  using Act = std::function<void(const std::shared_ptr<const State>& state)>;
  struct Pace {
    double interval_s = 1;   ///< so long between two calls at least
    double rest_per_s = 20;  ///< and so many times the processor time of the last
  };
  Follower(const View& view, Pace pace, Act act);
  /// Waits for the call under way.
  void stop();

 private:
  void work(const std::stop_token& stop, const View& view, const Pace& pace, const Act& act);
  std::jthread thread_;
};

class Publisher {
 public:
  Publisher(const store::Project& store, const flow::Registry& registry, const Options& options);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// Lets others in. Call it after the first `feed`.
  void open(const std::filesystem::path& socket);
  /// What a commit has changed. Returns at once. @param head  null unless the changes say that all is anew
  void feed(Changes changes, std::shared_ptr<const Head> head, Live live);
  [[nodiscard]] Mailbox& mailbox() { return mailbox_; }
  [[nodiscard]] std::shared_ptr<const State> state() const { return view_.state(); }
  /// Why a STAR file could not be written, once; it is tried again.
  [[nodiscard]] std::optional<Error> take_star_failure();
  /// Why the report could not be written the last time; empty: it could.
  [[nodiscard]] std::string report_problem();
  /// What was found wrong in the last state that was looked at, once.
  [[nodiscard]] std::optional<Watched> take_watched();
  /// The same of the state of this commit; nothing is looked at after that.
  [[nodiscard]] Watched watch_last(std::int64_t sequence);
  /// Writes what is left to be written, up to this commit, and lets nobody in any more. @throws Error if a STAR file
  /// cannot be written
  void finish(std::int64_t sequence);

 private:
  Json act(const Command& command);
  void watch(const State& state);
  void write_stars(const State& state);
  void report(const std::shared_ptr<const State>& state, bool last);
  void read_ahead(const std::stop_token& stop);

  const Options& options_;
  std::unique_ptr<store::Reader> report_reader_, watch_reader_;
  View view_;
  Mailbox mailbox_;
  Service service_;
  StarWriter stars_;
  std::mutex mutex_;
  std::optional<Error> star_failure_;
  std::string report_problem_;
  std::optional<Watched> watched_;
  std::optional<Follower> star_follower_, report_follower_, watch_follower_;
  std::jthread ahead_;
  std::unique_ptr<ControlServer> control_;
};

}  // namespace frazil::engine
