#include "frazil/cli/alarms.hpp"
#include "frazil/cli/bundles.hpp"
#include "frazil/cli/command.hpp"
#include "frazil/cli/demo.hpp"
#include "frazil/cli/info.hpp"
#include "frazil/cli/plugins.hpp"
#include "frazil/cli/project.hpp"
#include "frazil/cli/run.hpp"
#include "frazil/cli/simulate.hpp"
#include "frazil/cli/templates.hpp"

namespace frazil::cli {

const std::vector<Command>& commands() {
  static const std::vector<Command> list = {
      {"run", "run a workflow on a project while its input arrives", run_command},
      {"run-all", "run several projects at once, with fair shares of this machine", run_all_command},
      {"status", "how far a project has come", status_command},
      {"log", "what has happened in a project, and whose doing it was", log_command},
      {"acknowledge", "say that you know of an alarm", acknowledge_command},
      {"why", "why an item is where it is", why_command},
      {"what-if", "how many items other limits would keep, from what is stored", what_if_command},
      {"set", "change parameters of a project, at work or not", set_command},
      {"answer", "answer a question that a step has asked", answer_command},
      {"cancel", "end a task that status lists, or a step that iterates", cancel_command},
      {"approve", "let steps start that wait for a person", approve_command},
      {"restore", "take items back that were set aside, try failed ones again", restore_command},
      {"set-aside", "set items aside by hand", set_aside_command},
      {"pause", "start no more tasks", pause_command},
      {"resume", "go on after a pause", resume_command},
      {"close", "tell a project that no more files will come", close_command},
      {"stop", "end the engine of a project in order", stop_command},
      {"report", "write the report of a project", report_command},
      {"snapshot", "the whole state of a project as JSON, for scripts", snapshot_command},
      {"export", "pack a project for another place, with hashes and tables for other programs", export_command},
      {"verify", "compute a sample of a project again, or compare a bundle with its hashes", verify_command},
      {"repoint", "tell a project where its movies lie now", repoint_command},
      {"workflow", "check, show or draw a workflow", workflow_command},
      {"protocols", "list the protocols, or describe one", protocols_command},
      {"plugin", "external programs as protocols: list, check, install, update, remove", plugin_command},
      {"template", "list and show workflow templates", template_command},
      {"simulate", "movies, micrographs or particles with known truth; replay of a session", simulate_command},
      {"demo", "simulated microscope and the full workflow, end to end", demo_command},
      {"self-test", "what works on this machine", self_test_command},
      {"worker", "started by executors, not by people", worker_command},
      {"version", "program, compiler, CPU target, libraries", version_command},
  };
  return list;
}

}  // namespace frazil::cli
