// A worker with one protocol that does what its parameters say: sleeps, tells how far it is, dies, ignores orders.
#include <signal.h>
#include <unistd.h>

#include <thread>

#include "frazil/exec/worker.hpp"
#include "frazil/flow/protocol.hpp"

namespace {

using namespace frazil;

struct Text {
  static constexpr std::string_view kind = "Text";
  std::string text;
  static constexpr auto fields() { return std::tuple(field(&Text::text, "text", "Some text")); }
};

struct Act {
  static constexpr flow::Info info{.name = "act", .title = "Act", .version = 1, .help = "Does as it is told."};
  struct Params {
    int steps = 0;  ///< of 10 ms
    bool deaf = false;
    bool dies = false;
    bool throws = false;
    static constexpr auto fields() {
      using P = Params;
      return std::tuple(field(&P::steps, "steps", "Steps of 10 ms"), field(&P::deaf, "deaf", "Does not look at orders"),
                        field(&P::dies, "dies", "Kills itself"), field(&P::throws, "throws", "Runs out of memory"));
    }
  };
  using Input = Text;
  using Output = Text;
  Params params;
  static std::vector<flow::Device> devices() { return {{"cpu"}, {"abacus", 1}}; }
  Output process(const Text& in, flow::Context& context) const {
    if (context.device() != flow::cpu_device) return {in.text + " from the " + context.device()};
    if (params.dies) ::kill(::getpid(), SIGKILL);
    if (params.throws) throw std::bad_alloc();
    for (int i = 0; i < params.steps; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      if (!params.deaf) context.check_cancelled();
      context.progress(double(i) / params.steps, "steps");
    }
    const auto loaded = context.cached<std::string>("greeting", [] { return std::to_string(::getpid()); });
    return {in.text + " " + *loaded};
  }
};

}  // namespace

int main(int argc, char** argv) {
  flow::Registry registry;
  registry.add(flow::make_protocol<Act>());
  return exec::run_worker(exec::parse_worker_arguments({argv + 1, argv + argc}), registry);
}
