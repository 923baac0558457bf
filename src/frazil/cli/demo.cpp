#include "frazil/cli/demo.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/cli/options.hpp"
#include "frazil/cli/simulate.hpp"
#include "frazil/cli/templates.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

/// Starts this program with other arguments.
pid_t start(const std::vector<std::string>& arguments) {
  std::vector<char*> texts;
  std::string self = "frazil";
  texts.push_back(self.data());
  std::vector<std::string> copies = arguments;
  for (auto& text : copies) texts.push_back(text.data());
  texts.push_back(nullptr);
  pid_t child = -1;
  if (const int error = ::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, texts.data(), environ); error != 0)
    throw Error(ErrorCode::resource, "frazil {} cannot be started: {}", arguments.front(), std::strerror(error));
  return child;
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return defect;
  return WIFEXITED(status) ? WEXITSTATUS(status) : interrupted;
}

/// Ends the replay when the demo ends early.
class Background {
 public:
  explicit Background(pid_t child) : child_(child) {}
  ~Background() {
    if (child_ <= 0) return;
    ::kill(child_, SIGTERM);
    (void)wait_for(child_);
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

 private:
  pid_t child_;
};

sim::Scene demo_scene(const Parsed& parsed) {
  auto json = Json::parse(shipped_scene("demo"));
  if (parsed.values.contains("movies")) json["count"] = parsed.values.at("movies");
  if (parsed.values.contains("seed")) json["seed"] = parsed.values.at("seed");
  auto scene = sim::scene_from_json(json, "the demo's scene");
  scene.threads = available_cpus();
  return scene;
}

}  // namespace

int demo_command(Arguments arguments) {
  const auto parsed = parse(
      arguments,
      {option("project", "string", "Folder for everything (default frazil-demo)"),
       option("movies", "integer", "Number of movies"), option("seed", "integer", "Seed of the simulated microscope"),
       option("rate", "number", "Movies a minute (default 50)"), option("help", "boolean", "This text")});
  if (parsed.has("help")) {
    std::cout << "frazil demo [--project DIR] [--movies N] [--seed N] [--rate N]\n";
    return ok;
  }
  const fs::path folder = parsed.text("project", "frazil-demo");
  const auto microscope = folder / "microscope", incoming = folder / "incoming", project = folder / "project";
  if (fs::exists(project))
    throw Error(ErrorCode::bad_input,
                "{}: there is a project already; name another folder with --project or remove this one",
                project.string());
  make_folders(incoming);

  const auto scene = demo_scene(parsed);
  log::info("simulating {} movies of {} × {} pixels, {} frames each", scene.count, scene.nx, scene.ny, scene.frames);
  write_scene(scene, microscope.string(), false);

  const Background replay(start({"simulate", "--replay", microscope.string(), "--into", incoming.string(), "--rate",
                                 parsed.text("rate", "50"), "--fault", "truncated,duplicate"}));
  const auto set = [](std::string_view name, const auto& value) { return fmt::format("{}={}", name, value); };
  return wait_for(start({"run",
                         "volume",
                         "--project",
                         project.string(),
                         "--until-closed",
                         "--set",
                         set("movies", incoming.string()),
                         "--set",
                         set("gain", (microscope / "references/gain.mrc").string()),
                         "--set",
                         set("pixel_size", scene.pixel_size.value()),
                         "--set",
                         set("voltage", scene.voltage.value()),
                         "--set",
                         set("cs", scene.cs.value()),
                         "--set",
                         set("amplitude_contrast", scene.amplitude_contrast),
                         "--set",
                         set("dose_per_frame", scene.dose_per_frame.value()),
                         "--set",
                         set("diameter", 180),
                         "--set",
                         "symmetry=d2",
                         "--set",
                         set("first_particles", 500),
                         "--set",
                         set("expected", scene.count),
                         "--set",
                         "motion_limits=paper",
                         "--set",
                         "project_name=Beta-galactosidase, simulated session",
                         "--set",
                         "sample=PDB 5A1A in 40 nm ice",
                         "--set",
                         "user=demo"}));
}

}  // namespace frazil::cli
