#include "frazil/cli/command.hpp"
#include "frazil/cli/demo.hpp"
#include "frazil/cli/info.hpp"
#include "frazil/cli/simulate.hpp"
#include "frazil/cli/templates.hpp"

namespace frazil::cli {

const std::vector<Command>& commands() {
  static const std::vector<Command> list = {
      {"protocols", "list the protocols, or describe one", protocols_command},
      {"template", "list and show workflow templates", template_command},
      {"simulate", "movies, micrographs or particles with known truth; replay of a session", simulate_command},
      {"demo", "simulated microscope and the full workflow, end to end", demo_command},
      {"self-test", "what works on this machine", self_test_command},
      {"version", "program, compiler, CPU target, libraries", version_command},
  };
  return list;
}

}  // namespace frazil::cli
