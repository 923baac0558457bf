// Runs a workflow of number protocols in a process of its own, so that tests can kill it.
//
//   frazil_numbers run PROJECT WORKFLOW.json [key=value…]    frazil_numbers worker …    frazil_numbers ask PROJECT
//   COMMAND [ITEM]
#include <fmt/format.h>

#include <cstdio>

#include "frazil/base/log.hpp"
#include "frazil/engine/engine.hpp"
#include "frazil/engine/numbers.hpp"
#include "frazil/exec/hub.hpp"
#include "frazil/exec/worker.hpp"

namespace {

using namespace frazil;

/// One line a record: enough of a STAR file to compare bytes.
class LineLayout final : public flow::TableLayout {
 public:
  explicit LineLayout(std::string head) : head_(std::move(head)) {}
  std::string head() const override { return head_; }
  std::string tail() const override { return {}; }
  std::string rows(const Json& record) const override { return record.dump() + "\n"; }
  std::string basis(const std::string&) const override { return "a line a record"; }

 private:
  std::string head_;
};

class LineFormat final : public flow::TableFormat {
 public:
  explicit LineFormat(std::string head) : head_(std::move(head)) {}
  std::string part(const Json&) override { return {}; }
  std::unique_ptr<flow::TableLayout> layout(const std::vector<std::string>&, const NextRecord&) override {
    return std::make_unique<LineLayout>(head_);
  }

 private:
  std::string head_;
};

std::unique_ptr<flow::TableFormat> star(const engine::SetView& view) {
  return std::make_unique<LineFormat>(fmt::format("data_{}_{}\n", view.step, view.port));
}

/// A file with one number.
flow::Records read_answer(const flow::Protocol& protocol, const flow::Records&,
                          const std::vector<std::filesystem::path>& files, const flow::AnswerPlace& place) {
  const auto text = read_text(files.at(0));
  if (text.empty() || text.find_first_not_of("0123456789\n") != std::string::npos)
    throw Error(ErrorCode::bad_input, "{}: holds no number", files[0].string());
  make_folders(place.temporary);
  write_text(place.temporary / "given.txt", text);
  const numbers::Number number{std::stoi(text), place.reference + "/given.txt"};
  return {{protocol.outputs.front().name, {record_to_json(number)}}};
}

int run(const std::vector<std::string>& arguments) {
  std::vector<flow::Problem> problems;
  const auto workflow = flow::parse_workflow(read_text(arguments.at(2)), problems);
  std::vector<std::pair<std::string, std::string>> settings;
  bool rebuild = false;
  int threads = 3;
  engine::Options options;
  const std::map<std::string, double*> patience = {{"silence=", &options.guards.silence_s},
                                                   {"outage=", &options.guards.outage_s},
                                                   {"unfit=", &options.guards.unfit_s},
                                                   {"quiet=", &options.alarms.quiet_s}};
  std::optional<exec::ClusterSettings> cluster;
  for (std::size_t i = 3; i < arguments.size(); ++i) {
    if (arguments[i] == "--rebuild") {
      rebuild = true;
      continue;
    }
    if (arguments[i].starts_with("threads=")) {
      threads = std::stoi(arguments[i].substr(8));
      continue;
    }
    if (arguments[i].starts_with("cluster=")) {
      cluster = exec::parse_cluster(Json::parse(read_text(arguments[i].substr(8))));
      continue;
    }
    const auto equals = arguments[i].find('=');
    if (const auto found = patience.find(arguments[i].substr(0, equals + 1)); found != patience.end()) {
      *found->second = std::stod(arguments[i].substr(equals + 1));
      continue;
    }
    if (arguments[i] == "stay=1") {
      options.until_closed = false;
      continue;
    }
    if (arguments[i].starts_with("reserve=")) {
      options.disk_reserve_mib = std::stoi(arguments[i].substr(8));
      continue;
    }
    settings.emplace_back(arguments[i].substr(0, equals), arguments[i].substr(equals + 1));
  }
  const auto values = flow::parse_values(workflow, numbers::registry(), settings, problems);
  if (!problems.empty()) throw Error(ErrorCode::bad_input, "{}", flow::describe(problems));
  engine::prepare_project(arguments.at(1), workflow, values, numbers::registry(), rebuild);
  options.project = arguments.at(1);
  options.worker_command = {"/proc/self/exe", "worker"};
  options.worker_command[0] = std::filesystem::read_symlink("/proc/self/exe");
  options.threads = threads;
  options.poll_s = 0.2;
  options.watch_interval_s = 0.1;
  options.star_interval_s = 0.05;
  options.star = star;
  options.read_answer = read_answer;
  options.retry_base_s = 0.01;
  std::optional<exec::Hub> hub;
  if (cluster) {
    hub.emplace(std::move(*cluster), std::filesystem::canonical(options.project), options.worker_command);
    options.worker_command.insert(options.worker_command.end(), {"--hub", hub->file().string()});
    options.has_cluster_workers = [&] { return hub->has_workers(); };
    options.place = [&](const flow::PlannedStep& step) { return hub->place(step.name); };
  }
  engine::Engine engine(options, numbers::registry());
  const auto end = engine.run();
  return end == engine::End::finished ? 0 : end == engine::End::some_failed ? 1 : 130;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    frazil::log::set_level(frazil::log::Level::error);
    if (arguments.at(0) == "worker")
      return exec::run_worker(exec::parse_worker_arguments({arguments.begin() + 1, arguments.end()}),
                              numbers::registry());
    if (arguments.at(0) == "run") return run(arguments);
    const auto answer = engine::ask(arguments.at(1), numbers::registry(),
                                    {{"command", arguments.at(2)}, {"item", arguments.size() > 3 ? arguments[3] : ""}});
    fmt::print("{}\n", answer.dump(1));
    return answer.value("ok", false) ? 0 : 2;
  } catch (const std::exception& error) {
    frazil::log::error("{}", error.what());
    return 2;
  }
}
