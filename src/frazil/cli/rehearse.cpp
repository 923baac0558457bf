#include "frazil/cli/rehearse.hpp"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <thread>

#include "frazil/base/files.hpp"
#include "frazil/cli/run.hpp"
#include "frazil/cli/status_line.hpp"
#include "frazil/cli/templates.hpp"
#include "frazil/cli/version.hpp"
#include "frazil/exec/worker.hpp"
#include "frazil/plugin/installed.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// Stands for a movie: its content is its number, so that no two are the same.
void write_movie(const fs::path& folder, int number) {
  const auto square = folder / fmt::format("square_{:03}", number / 500);
  fs::create_directories(square);
  const auto name = fmt::format("mic_{:06}.mrc", number);
  const auto hidden = square / ("." + name);
  std::ofstream(hidden) << number << "\n";
  fs::rename(hidden, square / name);
}

int count_movies(const fs::path& folder) {
  int count = 0;
  if (fs::exists(folder))
    for (const auto& entry : fs::recursive_directory_iterator(folder)) count += entry.path().extension() == ".mrc";
  return count;
}

/// What a template asks for and a rehearsal has no file to learn it from.
Json values_for(const flow::Workflow& workflow, const fs::path& movies, int expected) {
  const std::map<std::string, Json> usual = {{"movies", fs::absolute(movies).string()},
                                             {"micrographs", fs::absolute(movies).string()},
                                             {"pixel_size", 0.83},
                                             {"voltage", 300},
                                             {"cs", 2.7},
                                             {"dose_per_frame", 1.0},
                                             {"diameter", 130},
                                             {"expected", expected},
                                             {"sample", "rehearsal: all results are made up"}};
  Json values = Json::object();
  for (const auto& parameter : workflow.parameters)
    if (const auto found = usual.find(parameter.name); found != usual.end()) values[parameter.name] = found->second;
  return values;
}

}  // namespace

int rehearse(const RehearsedSession& session, const std::string& folder, bool json) {
  const fs::path project = fs::absolute(folder).lexically_normal();
  const fs::path movies = project.string() + ".movies";
  const int there = count_movies(movies);
  for (int i = there; i < session.count; ++i) write_movie(movies, i);
  const int first_live = std::max(there, session.count);

  std::vector<flow::Problem> problems;
  const auto workflow = flow::parse_workflow(template_text(session.workflow), problems);
  if (!problems.empty()) throw Error(ErrorCode::bad_input, "{}", flow::describe(problems));
  const auto registry = protocols::rehearsal(plugin::registry(), session.results);
  engine::prepare_project(project, workflow, values_for(workflow, movies, first_live + session.live), registry);

  report::Writer writer(project, version());
  const auto page = project / "report" / "report.html";
  auto settings = engine_options(project, writer, page);
  for (const auto& argument : {std::string("--rehearse"), std::to_string(session.results.particles),
                               std::string("--pictures"), std::string(session.results.pictures ? "1" : "0")})
    settings.worker_command.push_back(argument);
  if (!session.results.pictures) settings.star = nullptr;  // no particle tables are there to join
  StatusPrinter printer(STDERR_FILENO);
  if (!json) settings.on_status = [&](const engine::Status& status) { printer.show(status); };
  engine::Engine engine(std::move(settings), registry);
  const auto pause = std::chrono::duration<double>(60 / session.per_minute);
  std::jthread microscope([&](const std::stop_token& stop) {
    for (int i = 0; i < session.live && !stop.stop_requested(); ++i) {
      std::this_thread::sleep_for(pause);
      write_movie(movies, first_live + i);
    }
  });
  const auto started = Clock::now();
  const auto end = engine.run();
  if (!json) return tell_end(engine, end, project, page);
  std::cout << Json({{"project", project.string()},
                     {"movies", engine.status().found},
                     {"seconds", std::chrono::duration<double>(Clock::now() - started).count()}})
                   .dump()
            << "\n";
  return end == engine::End::finished ? ok : end == engine::End::some_failed ? some_failed : interrupted;
}

int rehearsal_worker(Arguments arguments) {
  const protocols::RehearsalParams params{std::stoi(arguments[1]), arguments[3] == "1"};
  const auto registry = protocols::rehearsal(plugin::registry(), params);
  return exec::run_worker(exec::parse_worker_arguments({arguments.begin() + 4, arguments.end()}), registry);
}

}  // namespace frazil::cli
