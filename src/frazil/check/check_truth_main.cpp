// frazil-check-truth: the one program that may read truth files. Compares results with them and prints a table and,
// with --json, one object.
#include <glob.h>

#include <algorithm>
#include <iostream>
#include <map>

#include "frazil/base/files.hpp"
#include "frazil/base/log.hpp"
#include "frazil/check/checks.hpp"
#include "frazil/io/star.hpp"

namespace {

using namespace frazil;
namespace fs = std::filesystem;

constexpr const char* usage =
    "frazil-check-truth --truth DIR [--project DIR] [--motion GLOB] [--fields GLOB] [--ctf GLOB] [--picks GLOB] "
    "[--classes STAR]\n"
    "                   [--volume MRC] [--specimen N] [--symmetry c1] [--pick-radius 0.3] [--border 0.5] [--json] [-o "
    "FILE]\n\n"
    "  --truth      folder with truth.json, as `frazil simulate` wrote it\n"
    "  --project    looks for motion STAR files under steps/ and for CTF, picks and classes in star/*.star\n"
    "  --motion     RELION motion STAR files        --fields   displacement fields of align-movie (JSON)\n"
    "  --ctf        STAR files with rlnDefocusU     --picks    STAR files with rlnCoordinateX\n"
    "  --classes    particles STAR with rlnClassNumber     --volume   map to compare with the specimen's density\n"
    "  --symmetry   point group of specimen 0 for the 2D angles (cN, dN, t, o)\n"
    "  --pick-radius, --border   in diameters\n";

std::vector<fs::path> expand(const std::string& pattern) {
  glob_t found{};
  const int status = ::glob(pattern.c_str(), GLOB_BRACE | GLOB_TILDE, nullptr, &found);
  std::vector<fs::path> list(found.gl_pathv, found.gl_pathv + (status == 0 ? found.gl_pathc : 0));
  ::globfree(&found);
  if (list.empty()) throw Error(ErrorCode::not_found, "{}: no such file", pattern);
  return list;
}

struct Options {
  std::map<std::string, std::string> values;
  bool json = false;
  [[nodiscard]] std::string text(const std::string& name, const std::string& otherwise = {}) const {
    const auto found = values.find(name);
    return found == values.end() ? otherwise : found->second;
  }
  [[nodiscard]] double number(const std::string& name, double otherwise) const {
    const auto given = text(name);
    if (given.empty()) return otherwise;
    try {
      return std::stod(given);
    } catch (const std::exception&) {
      throw Error(ErrorCode::bad_input, "--{} expects a number, not {}", name, given);
    }
  }
};

Options parse(const std::vector<std::string>& arguments) {
  static const std::vector<std::string> known{"truth",       "project", "motion", "fields",   "ctf",
                                              "picks",       "classes", "volume", "specimen", "symmetry",
                                              "pick-radius", "border",  "output"};
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--json") {
      options.json = true;
      continue;
    }
    const auto name = arguments[i] == "-o"             ? "output"
                      : arguments[i].starts_with("--") ? arguments[i].substr(2)
                                                       : arguments[i];
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw Error(ErrorCode::bad_input, "{} is not an option\n{}", arguments[i], usage);
    if (i + 1 == arguments.size()) throw Error(ErrorCode::bad_input, "{} needs a value", arguments[i]);
    options.values[name] = arguments[++i];
  }
  if (options.text("truth").empty()) throw Error(ErrorCode::bad_input, "--truth is missing\n{}", usage);
  return options;
}

/// Every STAR file of the project is measured as what it holds, and of every step that made volumes the last one; keys
/// are "<what>:<step>".
void check_project(const check::Truth& truth, const Options& options, Json& results) {
  const fs::path project = options.text("project");
  std::vector<fs::path> motion, fields;
  std::map<std::string, fs::path> volumes;  // by step: folders of versions sort by their number
  if (fs::exists(project / "steps"))
    for (const auto& entry : fs::recursive_directory_iterator(project / "steps")) {
      const auto name = entry.path().filename().string();
      if (name.ends_with("_motion.star")) motion.push_back(entry.path());
      if (name.ends_with("_field.json")) fields.push_back(entry.path());
      if (name == "volume.mrc")
        if (auto& last = volumes[fs::relative(entry.path(), project / "steps").begin()->string()]; last < entry.path())
          last = entry.path();
    }
  std::sort(motion.begin(), motion.end());
  std::sort(fields.begin(), fields.end());
  if (!motion.empty()) results["motion"] = check::check_motion(truth, motion);
  if (!fields.empty()) results["fields"] = check::check_fields(truth, fields);
  for (const auto& [step, path] : volumes)
    results["volume:" + step] = check::check_volume(truth, path, static_cast<int>(options.number("specimen", 0)));
  if (!fs::exists(project / "star")) return;
  std::vector<fs::path> stars;
  for (const auto& entry : fs::directory_iterator(project / "star"))
    if (entry.path().extension() == ".star") stars.push_back(entry.path());
  std::sort(stars.begin(), stars.end());
  for (const auto& path : stars) {
    const auto star = io::read_star(path);
    const auto step = path.stem().string();
    for (const auto& table : star.tables) {
      const bool particles = table.has("rlnImageName"), named = table.has("rlnMicrographName");
      if (particles && table.has("rlnClassNumber"))
        results["classes:" + step] = check::check_classes(truth, path, options.text("symmetry", "c1"));
      if (!particles && named && table.has("rlnDefocusU")) results["ctf:" + step] = check::check_ctf(truth, {path});
      if (table.has("rlnCoordinateX") && named)
        results["picks:" + step] =
            check::check_picks(truth, {path}, {options.number("pick-radius", 0.3), options.number("border", 0.5)});
    }
  }
}

Json run(const Options& options) {
  const auto truth = check::read_truth(options.text("truth"));
  Json results = Json::object();
  if (!options.text("project").empty()) check_project(truth, options, results);
  if (const auto p = options.text("motion"); !p.empty()) results["motion"] = check::check_motion(truth, expand(p));
  if (const auto p = options.text("fields"); !p.empty()) results["fields"] = check::check_fields(truth, expand(p));
  if (const auto p = options.text("ctf"); !p.empty()) results["ctf"] = check::check_ctf(truth, expand(p));
  if (const auto p = options.text("picks"); !p.empty())
    results["picks"] =
        check::check_picks(truth, expand(p), {options.number("pick-radius", 0.3), options.number("border", 0.5)});
  if (const auto p = options.text("classes"); !p.empty())
    results["classes"] = check::check_classes(truth, p, options.text("symmetry", "c1"));
  if (const auto p = options.text("volume"); !p.empty())
    results["volume"] = check::check_volume(truth, p, static_cast<int>(options.number("specimen", 0)));
  return results;
}

void print_table(const Json& results) {
  for (const auto& [what, numbers] : results.items()) {
    std::cout << what << "\n";
    if (numbers.value("micrographs", 1) == 0) {
      std::cout << "  nothing in it to compare\n";
      continue;
    }
    for (const auto& [key, value] : numbers.items()) {
      if (value.is_array()) continue;
      std::cout << fmt::format("  {:26} {}\n", key,
                               value.is_number_float() ? fmt::format("{:.4g}", value.get<double>())
                               : value.is_string()     ? value.get<std::string>()
                                                       : value.dump());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (arguments.empty() || arguments[0] == "--help") {
      std::cout << usage;
      return arguments.empty() ? 2 : 0;
    }
    const auto options = parse(arguments);
    const auto results = run(options);
    if (options.json)
      std::cout << results.dump() << "\n";
    else
      print_table(results);
    if (const auto out = options.text("output"); !out.empty()) write_text(out, results.dump(1));
    return 0;
  } catch (const Error& error) {
    log::error("{}", error.what());
    return error.code() == ErrorCode::bug ? 3 : 2;
  } catch (const std::exception& error) {
    log::error("internal defect: {}", error.what());
    return 3;
  }
}
