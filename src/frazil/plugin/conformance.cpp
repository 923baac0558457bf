#include "frazil/plugin/conformance.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/random.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/model/kinds.hpp"
#include "frazil/plugin/stage.hpp"

namespace frazil::plugin {
namespace {

namespace fs = std::filesystem;

constexpr int nx = 480, ny = 320, box = 64, particle_count = 24;
constexpr double pixel_A = 3.0, diameter_A = 120;
/// Names that trip whoever passes arguments through a shell.
constexpr const char* odd_name = "a;b$(c)&d'e";

/// Files of made-up data: dark discs on noise, wider than high, so that swapped axes show.
class Samples {
 public:
  explicit Samples(fs::path folder) : folder_(std::move(folder)) {
    make_folders(folder_);
    Rng rng(7);
    for (int i = 0; i < 12; ++i) centres_.push_back({60.0 + 110 * (i % 4), 50.0 + 105 * (i / 4)});
    write_micrograph(rng);
    write_particles(rng);
    write_classes(rng);
    write_volume();
  }

  /// One record of a kind; null for kinds that cannot be made up here.
  [[nodiscard]] Json record(const std::string& kind) const {
    Json record = Json::object();
    const std::string name = std::string("sample") + ".mrc";
    if (kind == "Movie")
      record = {{"path", path("movie.mrcs")}, {"name", "movie.mrcs"},          {"nx", nx}, {"ny", ny}, {"frames", 4},
                {"pixel_size_A", pixel_A},    {"dose_per_frame_e_per_A2", 2.0}};
    else if (kind == "Micrograph")
      record = {{"path", path("sample.mrc")}, {"name", name}, {"nx", nx}, {"ny", ny}, {"pixel_size_A", pixel_A}};
    else if (kind == "CtfFit")
      record = {{"micrograph", path("sample.mrc")},
                {"name", name},
                {"pixel_size_A", pixel_A},
                {"defocus_u_A", 15000},
                {"defocus_v_A", 14800},
                {"score", 0.5},
                {"fit_resolution_A", 8}};
    else if (kind == "Coordinates")
      record = {{"micrograph", path("sample.mrc")},
                {"name", name},
                {"coordinates", path("sample_picks.star")},
                {"count", centres_.size()},
                {"diameter_A", diameter_A},
                {"pixel_size_A", pixel_A}};
    else if (kind == "Particles")
      record = {{"star", path("sample_particles.star")},
                {"stack", path("sample.mrcs")},
                {"micrograph", path("sample.mrc")},
                {"name", name},
                {"count", particle_count},
                {"box", box},
                {"pixel_size_A", pixel_A},
                {"diameter_A", diameter_A}};
    else if (kind == "Classes")
      record = {{"star", path("sample_classes.star")},
                {"averages", path("averages.mrcs")},
                {"particles", path("sample_particles.star")},
                {"classes", 2},
                {"counts", {particle_count, 0}},
                {"selected", {1, 1}},
                {"particle_count", particle_count},
                {"box", box},
                {"pixel_size_A", pixel_A},
                {"diameter_A", diameter_A}};
    else if (kind == "Volume")
      record = {{"volume", path("map.mrc")},
                {"half1", path("half1.mrc")},
                {"half2", path("half2.mrc")},
                {"box", box},
                {"pixel_size_A", pixel_A}};
    else
      return nullptr;
    return find_kind(kind)->complete(record);
  }

  [[nodiscard]] std::map<std::string, std::string> hashes() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::directory_iterator(folder_))
      all[entry.path().filename().string()] = hash_file(entry.path());
    return all;
  }
  /// How many positions of a file lie within a third of a diameter of a disc, as they are and with x and y swapped.
  [[nodiscard]] std::pair<int, int> near_discs(const fs::path& star_file) const {
    const auto star = io::read_star(star_file);
    const auto& table = star.table_with("rlnCoordinateX");
    const auto x = table.numbers("rlnCoordinateX"), y = table.numbers("rlnCoordinateY");
    std::pair<int, int> count{0, 0};
    for (std::size_t i = 0; i < x.size(); ++i)
      for (const auto& [cx, cy] : centres_) {
        count.first += std::hypot(x[i] - cx, y[i] - cy) * pixel_A < diameter_A / 3 ? 1 : 0;
        count.second += std::hypot(y[i] - cx, x[i] - cy) * pixel_A < diameter_A / 3 ? 1 : 0;
      }
    return count;
  }

 private:
  [[nodiscard]] std::string path(const char* name) const { return (folder_ / name).string(); }

  [[nodiscard]] Image disc_image(Rng& rng, int width, int height, const std::vector<std::pair<double, double>>& centres,
                                 double sign, double noise) const {
    Image image(width, height, Angstrom(pixel_A));
    const double radius = diameter_A / 2 / pixel_A;
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) {
        double value = noise * rng.normal();
        for (const auto& [cx, cy] : centres)
          value += sign * 0.5 * (1 - std::tanh((std::hypot(x - cx, 1.15 * (y - cy)) - radius) / 2));
        image(x, y) = static_cast<float>(value);
      }
    return image;
  }

  void write_micrograph(Rng& rng) const {
    io::write_image(folder_ / "sample.mrc", disc_image(rng, nx, ny, centres_, -2, 1));
    io::StackWriter movie(folder_ / "movie.mrcs", nx, ny, Angstrom(pixel_A));
    for (int frame = 0; frame < 4; ++frame) {
      auto image = disc_image(rng, nx, ny, centres_, -2, 2);
      for (auto& value : image.pixels()) value += 10;
      movie.append(image);
    }
    movie.close();
    io::StarTable picks("", {"rlnCoordinateX", "rlnCoordinateY", "rlnMicrographName"});
    for (const auto& [x, y] : centres_) {
      const auto row = picks.add_row();
      picks.set(row, 0, x);
      picks.set(row, 1, y);
      picks.set(row, 2, std::string_view(path("sample.mrc")));
    }
    io::StarFile file;
    file.add(std::move(picks));
    io::write_star(folder_ / "sample_picks.star", file);
  }

  void write_particles(Rng& rng) const {
    io::StackWriter stack(folder_ / "sample.mrcs", box, box, Angstrom(pixel_A));
    io::StarTable table("particles", {"rlnImageName", "rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY",
                                      "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnOpticsGroup"});
    for (int i = 0; i < particle_count; ++i) {
      stack.append(disc_image(rng, box, box, {{box / 2.0 + rng.normal(), box / 2.0 + rng.normal()}}, 2, 1));
      const auto row = table.add_row();
      table.set(row, "rlnImageName", std::string_view(io::join_reference(i, path("sample.mrcs"))));
      table.set(row, "rlnMicrographName", std::string_view(path("sample.mrc")));
      table.set(row, "rlnCoordinateX", centres_[static_cast<std::size_t>(i) % centres_.size()].first);
      table.set(row, "rlnCoordinateY", centres_[static_cast<std::size_t>(i) % centres_.size()].second);
      table.set(row, "rlnDefocusU", 15000.0);
      table.set(row, "rlnDefocusV", 14800.0);
      table.set(row, "rlnDefocusAngle", 30.0);
      table.set(row, "rlnOpticsGroup", 1);
    }
    stack.close();
    io::OpticsGroup group;
    group.image_pixel_size = group.micrograph_pixel_size = group.original_pixel_size = Angstrom(pixel_A);
    group.image_size = box;
    io::StarFile file;
    file.add(io::optics_table({{group}}));
    file.add(std::move(table));
    io::write_star(folder_ / "sample_particles.star", file);
  }

  void write_classes(Rng& rng) const {
    io::StackWriter averages(folder_ / "averages.mrcs", box, box, Angstrom(pixel_A));
    io::StarTable table("classes", {"rlnReferenceImage"});
    for (int i = 0; i < 2; ++i) {
      averages.append(disc_image(rng, box, box, {{box / 2.0, box / 2.0}}, 2, 0.1));
      table.set(table.add_row(), 0, std::string_view(io::join_reference(i, path("averages.mrcs"))));
    }
    averages.close();
    io::StarFile file;
    file.add(std::move(table));
    io::write_star(folder_ / "sample_classes.star", file);
  }

  void write_volume() const {
    for (const auto* name : {"map.mrc", "half1.mrc", "half2.mrc"}) {
      Rng rng(name[4]);
      Volume volume(box, box, box, Angstrom(pixel_A));
      for (int z = 0; z < box; ++z)
        for (int y = 0; y < box; ++y)
          for (int x = 0; x < box; ++x) {
            const double r = std::hypot(x - box / 2, 1.15 * (y - box / 2), 0.9 * (z - box / 2));
            volume(x, y, z) =
                static_cast<float>(0.5 * (1 - std::tanh((r - diameter_A / 2 / pixel_A) / 2)) + 0.02 * rng.normal());
          }
      io::write_volume(folder_ / name, volume);
    }
  }

  fs::path folder_;
  std::vector<std::pair<double, double>> centres_;
};

/// What a task sees when it runs alone in a folder.
class CheckContext final : public flow::Context {
 public:
  explicit CheckContext(fs::path folder) : folder_(std::move(folder)) { make_folders(folder_ / "scratch"); }
  fs::path output(std::string_view name) override {
    names_.insert(std::string(name));
    return folder_ / name;
  }
  std::string reference(std::string_view name) const override { return (folder_ / name).string(); }
  fs::path input(const std::string& reference) const override { return reference; }
  fs::path scratch() override { return folder_ / "scratch"; }
  int threads() const override { return 1; }
  Rng rng() const override { return Rng(11); }
  void check_cancelled() const override {}
  void progress(double, std::string_view) override {}
  /// Hashes of the output files; in STAR files, the folder's own name left out.
  [[nodiscard]] std::map<std::string, std::string> hashes() const {
    std::map<std::string, std::string> all;
    for (const auto& name : names_) {
      if (!name.ends_with(".star")) {
        all[name] = hash_file(folder_ / name);
        continue;
      }
      auto text = read_text(folder_ / name);
      for (auto at = text.find(folder_.string()); at != std::string::npos; at = text.find(folder_.string()))
        text.erase(at, folder_.string().size());
      all[name] = hash_of({text});
    }
    return all;
  }

 private:
  fs::path folder_;
  std::set<std::string> names_;
};

/// MRC headers carry times in their labels with some programs: only the data count there.
bool same_results(const fs::path& a, const fs::path& b, const std::map<std::string, std::string>& first,
                  const std::map<std::string, std::string>& second) {
  if (first.size() != second.size()) return false;
  for (const auto& [name, hash] : first) {
    const auto other = second.find(name);
    if (other == second.end()) return false;
    if (hash == other->second) continue;
    if (!name.ends_with(".mrc") && !name.ends_with(".mrcs")) return false;
    const io::StackReader left(a / name), right(b / name);
    if (left.info().nz != right.info().nz) return false;
    for (int i = 0; i < left.info().nz; ++i) {
      const auto x = left.read(i), y = right.read(i);
      if (!std::equal(x.pixels().begin(), x.pixels().end(), y.pixels().begin(), y.pixels().end())) return false;
    }
  }
  return true;
}

class Checker {
 public:
  Checker(fs::path plugin, fs::path scratch)
      : folder_(std::move(plugin)), scratch_(std::move(scratch)), samples_(scratch_ / odd_name) {}

  std::vector<Finding> run() {
    const auto before = checksum(folder_);
    const auto inputs = samples_.hashes();
    attempt("plugin.json", [&] {
      manifest_ = read_manifest(folder_);
      return fmt::format("{} {}, {} protocols", manifest_.id, manifest_.version, manifest_.protocols.size());
    });
    if (findings_.back().state == Finding::State::failed) return findings_;
    if (!manifest_.adapter.empty()) attempt("describe", [&] { return compare_description(); });
    for (const auto& program : manifest_.programs)
      attempt("program " + program.name, [&] {
        const auto found = find(program, true);
        if (found.path.empty()) throw Error(ErrorCode::not_found, "not on this machine: what needs it is not tried");
        return found.version + " in " + found.path.string();
      });
    for (const auto& protocol : manifest_.protocols) check_protocol(protocol);
    attempt("inputs stay as they were", [&] {
      if (samples_.hashes() != inputs) throw Error(ErrorCode::external, "an input file was changed");
      return std::string();
    });
    attempt("the plugin's folder stays as it was", [&] {
      if (checksum(folder_) != before)
        throw Error(ErrorCode::external, "a task wrote into the plugin's own folder: its checksum would no longer fit");
      return std::string();
    });
    return findings_;
  }

 private:
  void attempt(const std::string& what, const std::function<std::string()>& action) {
    try {
      findings_.push_back({Finding::State::ok, what, action()});
    } catch (const std::exception& error) {
      findings_.push_back({Finding::State::failed, what, error.what()});
    }
  }

  std::string compare_description() const {
    const auto told = ask_adapter(manifest_).value("protocols", Json());
    std::vector<std::string> problems;
    const auto list = parse_protocols(told, problems);
    if (!problems.empty()) throw Error(ErrorCode::bad_input, "{}", problems.front());
    for (const auto& protocol : manifest_.protocols) {
      const auto same =
          std::find_if(list.begin(), list.end(), [&](const PluginProtocol& p) { return p.name == protocol.name; });
      if (protocol.command.is_null() &&
          (same == list.end() || same->params.size() != protocol.params.size() || same->version != protocol.version))
        throw Error(ErrorCode::bad_input, "the adapter describes {} otherwise than plugin.json", protocol.name);
    }
    return fmt::format("{} protocols", list.size());
  }

  void check_protocol(const PluginProtocol& protocol) {
    const auto place = protocol.name + ": ";
    flow::Records inputs;
    for (const auto& port : protocol.inputs) {
      const auto record = samples_.record(port.kind);
      if (record.is_null() && port.optional) continue;
      if (record.is_null()) {
        findings_.push_back({Finding::State::skipped, protocol.name,
                             "no sample of kind " + port.kind + " can be made up: test it on data of your own"});
        return;
      }
      inputs.emplace_back(port.name, std::vector<Json>{record});
    }
    const auto params = protocol.test.value("params", Json::object());
    const auto runnable = make_protocol(manifest_, protocol, "check");
    if (const auto problems = runnable.check(params); !problems.empty()) {
      const bool absent = problems.front().find("is not on this machine") != std::string::npos;
      findings_.push_back(
          {absent ? Finding::State::skipped : Finding::State::failed, protocol.name,
           problems.front() +
               (absent ? "" : " (\"test\": {\"params\": …} in the protocol gives values for this check)")});
      return;
    }
    flow::Records first;
    CheckContext one(scratch_ / (protocol.name + "-1")), two(scratch_ / (protocol.name + "-2"));
    attempt(place + "runs, results complete and finite", [&] {
      first = runnable.run(params, inputs, nullptr, one);
      return std::string();
    });
    if (findings_.back().state == Finding::State::failed) return;
    attempt(place + "same input, same result", [&] {
      (void)runnable.run(params, inputs, nullptr, two);
      if (!same_results(scratch_ / (protocol.name + "-1"), scratch_ / (protocol.name + "-2"), one.hashes(),
                        two.hashes()))
        throw Error(ErrorCode::external, "two runs with the same seed gave different files");
      return std::string();
    });
    check_names(protocol, one);
    check_axes(protocol, first);
    check_damaged(protocol, runnable, params, inputs);
  }

  void check_names(const PluginProtocol& protocol, const CheckContext& context) {
    if (flow::takes_lists(protocol.shape)) return;
    attempt(protocol.name + ": output files are named after the input", [&] {
      for (const auto& [name, hash] : context.hashes())
        if (name.find("sample") == std::string::npos && name.find("movie") == std::string::npos &&
            name.find("map") == std::string::npos)
          throw Error(ErrorCode::external,
                      "{}: two inputs of one run would overwrite each other's file; put {{name}} into it", name);
      return std::string();
    });
  }

  void check_axes(const PluginProtocol& protocol, const flow::Records& results) {
    for (const auto& port : protocol.outputs) {
      if (port.kind != "Coordinates") continue;
      for (const auto& [name, list] : results)
        if (name == port.name && !list.empty())
          attempt(protocol.name + ": x and y are not swapped", [&] {
            const auto [straight, swapped] = samples_.near_discs(list.front().value("coordinates", ""));
            if (swapped > straight)
              throw Error(ErrorCode::external, "{} positions fit the discs as they are, {} with x and y swapped",
                          straight, swapped);
            return fmt::format("{} positions, {} on discs", list.front().value("count", 0), straight);
          });
    }
  }

  /// Whatever is wrong with a file, the task must fail with a message, not hang or succeed.
  void check_damaged(const PluginProtocol& protocol, const flow::Protocol& runnable, const Json& params,
                     flow::Records inputs) {
    attempt(protocol.name + ": a file that is not there fails with a message", [&] {
      auto& record = inputs.front().second.front();
      rename_files(protocol.inputs.front().kind, record,
                   [&](const std::string&) { return (scratch_ / "absent.mrc").string(); });
      CheckContext context(scratch_ / (protocol.name + "-3"));
      if (protocol.inputs.front().kind == "CtfFit") return std::string("its first input is no file");
      try {
        (void)runnable.run(params, inputs, nullptr, context);
      } catch (const Error& error) {
        if (error.code() == ErrorCode::bug) throw;
        return std::string(error.what()).substr(0, 100);
      }
      throw Error(ErrorCode::external, "the task ended well although its input is missing");
    });
  }

  fs::path folder_, scratch_;
  Samples samples_;
  Manifest manifest_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> check_conformance(const fs::path& plugin, const fs::path& scratch) {
  return Checker(plugin, scratch).run();
}

}  // namespace frazil::plugin
