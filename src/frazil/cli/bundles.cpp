#include "frazil/cli/bundles.hpp"

#include <iostream>

#include "frazil/base/parallel.hpp"
#include "frazil/bundle/bundle.hpp"
#include "frazil/bundle/recompute.hpp"
#include "frazil/cli/project_folder.hpp"
#include "frazil/cli/version.hpp"
#include "frazil/engine/snapshot.hpp"
#include "frazil/plugin/installed.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

Json plugin_versions() {
  Json list = Json::array();
  for (const auto& installed : plugin::installed()) {
    if (!installed.problem.empty() || !installed.enabled) continue;
    Json programs = Json::object();
    for (const auto& program :
         plugin::read_manifest(plugin::plugins_folder() / installed.id, installed.described).programs)
      programs[program.name] = plugin::find(program, true).version;
    list.push_back({{"id", installed.id},
                    {"version", installed.version},
                    {"checksum", installed.checksum},
                    {"programs", std::move(programs)}});
  }
  return list;
}

int verify_project(const fs::path& project, const Parsed& parsed) {
  bundle::RecomputeOptions options;
  options.sample = parsed.values.value("sample", options.sample);
  options.seed = parsed.values.value("seed", std::uint64_t{0});
  options.threads = parsed.values.value("threads", available_cpus());
  options.worker_command = {fs::read_symlink("/proc/self/exe").string(), "worker"};
  const bool json = parsed.values.value("json", false);
  using State = bundle::Recomputed::State;
  static constexpr std::string_view names[] = {"same", "within tolerance", "DIFFERS", "skipped"};
  int counts[4] = {0, 0, 0, 0};
  (void)bundle::recompute(project, plugin::registry(), options, [&](const bundle::Recomputed& r) {
    const auto state = static_cast<std::size_t>(r.state);
    ++counts[state];
    if (json)
      std::cout << Json({{"step", r.step}, {"label", r.label}, {"state", names[state]}, {"text", r.text}}).dump()
                << std::endl;
    else
      std::cout << fmt::format("{:18} {:18} {}{}{}\n", names[state], r.step, r.label, r.text.empty() ? "" : ": ",
                               r.text);
  });
  std::cerr << fmt::format("{} computed again: {} the same, {} within tolerance, {} differ; {} skipped\n",
                           counts[0] + counts[1] + counts[2], counts[0], counts[1], counts[2], counts[3]);
  return counts[static_cast<std::size_t>(State::differs)] == 0 ? ok : some_failed;
}

}  // namespace

int export_command(Arguments arguments) {
  const Usage usage{"frazil export [DIR] -o BUNDLE [--with-movies]   packs a project for another place",
                    {project_option(), option("output", "string", "Folder of the bundle, new (-o)"),
                     option("with_movies", "boolean", "Copy the acquired files too")}};
  auto found = parse_or_help(arguments, usage);
  if (!found) return ok;
  auto& parsed = *found;
  if (!parsed.has("output")) throw misuse(usage, "where to? Say -o BUNDLE");
  const auto project = project_of(parsed, usage, true);
  const auto where = fs::absolute(parsed.text("output")).lexically_normal();
  const auto done = bundle::export_project(project, where, plugin::registry(),
                                           {parsed.values.value("with_movies", false), version(), plugin_versions()});
  std::cout << fmt::format("{}\n{} files, {:.1f} MB, {} tables for other programs\n", where.string(), done.files,
                           static_cast<double>(done.bytes) / 1e6, done.tables);
  return ok;
}

int verify_command(Arguments arguments) {
  const Usage usage{
      "frazil verify --project DIR [--sample N] [--seed N]   computes a random sample of tasks again\n"
      "frazil verify BUNDLE                               compares every file with its hash",
      {option("project", "string", "Folder of a project: tasks are computed again"),
       option("sample", "integer", "How many tasks (default 20)"),
       option("seed", "integer", "Seed of the draw (default 0)"),
       option("threads", "integer", "Threads (default: all CPUs of this process)"),
       option("json", "boolean", "One JSON line each")}};
  const auto found = parse_or_help(arguments, usage);
  if (!found) return ok;
  const auto& parsed = *found;
  if (parsed.has("project") && parsed.positional.empty())
    return verify_project(fs::canonical(parsed.text("project")), parsed);
  if (parsed.positional.size() != 1) throw misuse(usage, "a project or a bundle?");
  int files = 0;
  const auto differences = bundle::verify_bundle(parsed.positional[0], files);
  for (const auto& difference : differences) {
    if (parsed.values.value("json", false))
      std::cout << Json({{"path", difference.path}, {"text", difference.text}}).dump() << "\n";
    else
      std::cout << difference.path << ": " << difference.text << "\n";
  }
  std::cerr << fmt::format("{} files, {} problems\n", files, differences.size());
  return differences.empty() ? ok : some_failed;
}

int repoint_command(Arguments arguments) {
  const Usage usage{"frazil repoint FOLDER [--project DIR] [--step NAME]     the acquired files lie in FOLDER now",
                    {project_option(), option("step", "string", "Import step whose files have moved (default: all)")}};
  auto found = parse_or_help(arguments, usage);
  if (!found) return ok;
  auto& parsed = *found;
  if (parsed.positional.size() != 1) throw misuse(usage, "in which folder are the files now?");
  const auto project = project_of(parsed, usage, false);
  std::vector<bundle::Difference> problems;
  const int links = bundle::repoint(project, parsed.text("step"), fs::absolute(parsed.positional[0]), problems);
  for (const auto& problem : problems) std::cerr << problem.path << ": " << problem.text << "\n";
  std::cout << fmt::format("{} links set, {} files not found as they were\n", links, problems.size());
  return problems.empty() ? ok : some_failed;
}

int snapshot_command(Arguments arguments) {
  const Usage usage{
      "frazil snapshot [DIR]     steps, items with their records, decisions, failures, files: one JSON object",
      {project_option()}};
  auto parsed = parse_or_help(arguments, usage);
  if (!parsed) return ok;
  std::cout << engine::read_snapshot(project_of(*parsed, usage, true), plugin::registry())
                   .dump(-1, ' ', false, Json::error_handler_t::replace)
            << "\n";
  return ok;
}

}  // namespace frazil::cli
