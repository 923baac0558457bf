#include "frazil/cli/simulate.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <thread>

#include "frazil/base/files.hpp"
#include "frazil/base/finite.hpp"
#include "frazil/base/log.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/cli/options.hpp"
#include "frazil/cli/rehearse.hpp"
#include "frazil/cli/replay.hpp"
#include "frazil/cli/truth_files.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/tiff_writer.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

std::vector<sim::Specimen> read_specimens(const sim::Scene& scene) {
  std::vector<sim::Specimen> list;
  for (const auto& name : scene.specimens) {
    const auto ending = fs::path(name).extension().string();
    if (ending == ".mrc" || ending == ".map")
      list.push_back(sim::from_map(io::read_volume(name), scene.map_threshold, fs::path(name).stem().string()));
    else
      list.push_back(fs::exists(name) ? sim::read_model(name) : sim::shipped_model(name));
  }
  return list;
}

/// Seconds since an instant.
class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void say(bool json, const Json& line) {
  if (json) std::cout << line.dump() << "\n" << std::flush;
}

/// Density of each specimen at the scene's pixel (3 Å at the coarsest), low-passed a little: what a perfect
/// reconstruction would show.
void write_truth_maps(const sim::Scene& scene, const std::vector<sim::Specimen>& specimens, const fs::path& folder) {
  make_folders(folder / "truth");
  for (const auto& s : specimens) {
    const Angstrom pixel = std::clamp(scene.pixel_size, 1.5_A, 3_A);
    io::write_volume(folder / "truth" / (s.name + ".mrc"),
                     sim::density(s, sim::box_for(s, pixel), pixel, Angstrom2(20)));
  }
}

void write_references(const sim::Camera& camera, const fs::path& folder) {
  make_folders(folder / "references");
  io::write_image(folder / "references" / "gain.mrc", camera.gain);
  std::string defects;  // RELION's defect file: x, y, width, height
  for (const auto* list : {&camera.hot, &camera.dead})
    for (const auto& [x, y] : *list) defects += fmt::format("{} {} 1 1\n", x, y);
  write_text(folder / "references" / "defects.txt", defects);
}

/// Frames are made in batches of as many as there are threads and written in order.
template <class Writer>
void write_frames(const sim::Scene& scene, const sim::SimulatedMovie& movie, float most, Writer& writer) {
  std::vector<Image> batch(static_cast<std::size_t>(std::min(scene.threads, scene.frames)));
  for (int first = 0; first < scene.frames; first += static_cast<int>(batch.size())) {
    const auto count = std::min(batch.size(), static_cast<std::size_t>(scene.frames - first));
    parallel_for(scene.threads, count, [&](std::size_t i) {
      movie.frame(first + static_cast<int>(i), batch[i]);
      for (float& v : batch[i].pixels()) v = std::min(v, most);
    });
    for (std::size_t i = 0; i < count; ++i) writer.append(batch[i]);
  }
  writer.close();
}

/// Frames in batches of as many as there are threads, each as its raw frames.
void write_raw_frames(const sim::Scene& scene, const sim::SimulatedMovie& movie, const fs::path& path) {
  constexpr double raw_frames_per_s = 248;
  const int total = scene.frames * scene.raw_frames;
  const double electrons = scene.total_dose().value() * scene.pixel_size.value() * scene.pixel_size.value();
  sim::EerWriter writer(
      path, scene.nx, scene.ny, {},
      sim::eer_metadata(total, total / raw_frames_per_s, electrons, scene.nx, scene.ny, scene.pixel_size.value()));
  std::vector<std::vector<std::vector<sim::Electron>>> batch(
      static_cast<std::size_t>(std::min(scene.threads, scene.frames)));
  for (int first = 0; first < scene.frames; first += static_cast<int>(batch.size())) {
    const auto count = std::min(batch.size(), static_cast<std::size_t>(scene.frames - first));
    parallel_for(scene.threads, count, [&](std::size_t i) { movie.electrons(first + static_cast<int>(i), batch[i]); });
    for (std::size_t i = 0; i < count; ++i)
      for (const auto& raw : batch[i]) writer.append(raw);
  }
  writer.close();
}

sim::AreaTruth write_movie(const sim::Scene& scene, const std::vector<sim::Specimen>& specimens,
                           const sim::Camera& camera, int index, const fs::path& path) {
  const sim::SimulatedMovie movie(scene, specimens, camera, index);
  if (scene.format == sim::MovieFormat::eer) {
    write_raw_frames(scene, movie, path);
  } else if (scene.format == sim::MovieFormat::tiff) {
    io::TiffOptions options;
    options.pixel_size = scene.pixel_size;
    io::TiffStackWriter writer(path, scene.nx, scene.ny, options);
    write_frames(scene, movie, 255, writer);
  } else {
    io::StackWriter writer(path, scene.nx, scene.ny, scene.pixel_size, io::MrcMode::i16);
    write_frames(scene, movie, 32767, writer);
  }
  return movie.truth();
}

/// The covered share of blocks of pixels, beside the other truth. @return the file's name, empty where nothing is
/// covered
std::string write_junk_map(const sim::Scene& scene, const sim::AreaTruth& area, const fs::path& folder) {
  const auto& map = area.junk_map;
  if (std::all_of(map.share.begin(), map.share.end(), [](std::uint8_t s) { return s == 0; })) return {};
  Image image(map.nx, map.ny, scene.pixel_size * sim::JunkMap::bin);
  std::transform(map.share.begin(), map.share.end(), image.data(),
                 [](std::uint8_t s) { return static_cast<float>(s) / 255; });
  make_folders(folder / "truth");
  const auto name = "truth/" + area.name + "_junk.mrc";
  io::write_image(folder / name, image);
  return name;
}

void write_areas(const sim::Scene& scene, const std::vector<sim::Specimen>& specimens, const fs::path& folder,
                 bool json) {
  const bool movies = scene.kind == sim::SceneKind::movies;
  auto truth = scene_to_json(scene, specimens);
  sim::Camera camera;
  if (movies) {
    camera = sim::camera(scene);
    write_references(camera, folder);
    truth["gain"] = "references/gain.mrc";
    truth["hot_px"] = camera.hot;
    truth["dead_px"] = camera.dead;
  }
  truth["areas"] = Json::array();
  std::vector<sim::AreaTruth> areas;
  std::vector<std::string> files;
  for (int i = 0; i < scene.count; ++i) {
    const Stopwatch watch;
    const auto file = fmt::format("{}_{:04}.{}", scene.prefix, i + 1,
                                  movies && scene.format == sim::MovieFormat::tiff  ? "tiff"
                                  : movies && scene.format == sim::MovieFormat::eer ? "eer"
                                                                                    : "mrc");
    if (movies) {
      areas.push_back(write_movie(scene, specimens, camera, i, folder / file));
    } else {
      auto made = sim::micrograph(scene, specimens, i);
      io::write_image(folder / file, made.image);
      areas.push_back(std::move(made.truth));
    }
    files.push_back(file);
    truth["areas"].push_back(area_to_json(scene, areas.back(), file));
    if (const auto map = write_junk_map(scene, areas.back(), folder); !map.empty())
      truth["areas"].back()["junk_map"] = map;
    say(json, {{movies ? "movie" : "micrograph", (folder / file).string()},
               {"particles", areas.back().particles.size()},
               {"seconds", watch.seconds()}});
    if (!json) log::info("{} of {}: {}", i + 1, scene.count, file);
  }
  io::write_star(folder / "truth.star", areas_to_star(scene, areas, files));
  write_text(folder / "truth.json", truth.dump(1));
}

void write_stack(const sim::Scene& scene, const std::vector<sim::Specimen>& specimens, const fs::path& folder,
                 bool json) {
  const Stopwatch watch;
  const auto stack = sim::particle_stack(scene, specimens, scene.count, Rng(static_cast<std::uint64_t>(scene.seed)));
  const std::string name = "particles.mrcs";
  io::StackWriter writer(folder / name, stack.box, stack.box, scene.pixel_size);
  for (const auto& image : stack.images) writer.append(image);
  writer.close();
  auto truth = scene_to_json(scene, specimens);
  truth["box"] = stack.box;
  truth["particles"] = stack_to_json(stack);
  // References in the list that RELION reads are relative to where it is started.
  io::write_star(folder / "particles.star", stack_to_star(scene, stack, (folder / name).string(), false));
  io::write_star(folder / "truth.star", stack_to_star(scene, stack, (folder / name).string(), true));
  write_text(folder / "truth.json", truth.dump(1));
  say(json, {{"particles", (folder / "particles.star").string()},
             {"count", scene.count},
             {"box", stack.box},
             {"seconds", watch.seconds()}});
}

int replay(const Parsed& parsed) {
  for (const char* needed : {"into", "rate"})
    if (!parsed.has(needed)) throw Error(ErrorCode::bad_input, "--replay also needs --{}", needed);
  const auto files = recorded_files(parsed.text("replay"));
  const auto seed = parsed.has("seed") ? parsed.values["seed"].get<std::uint64_t>() : 1;
  const auto plan =
      plan_replay(files, parsed.values["rate"].get<double>(), parse_faults(parsed.text("fault")), Rng(seed));
  const bool json = parsed.has("json");
  const Stopwatch watch;
  run_replay(
      plan, parsed.text("into"),
      [&](double time_s) {
        std::this_thread::sleep_for(std::chrono::duration<double>(at_least_zero(time_s - watch.seconds())));
        return true;
      },
      [&](const ReplayWrite& write) {
        if (write.event == "grown") return;
        say(json,
            {{"file", write.target}, {"event", write.event}, {"fault", write.fault}, {"time_s", watch.seconds()}});
        if (!json && write.event != "started")
          log::info("{} {}{}", write.target, write.event, write.fault.empty() ? "" : " (" + write.fault + ")");
      });
  return ok;
}

int simulate_project(const Parsed& parsed, const Json& scene) {
  RehearsedSession session;
  session.count = scene.value("count", session.count);
  session.results.particles = scene.value("particles", session.results.particles);
  session.results.pictures = !parsed.values.value("no_pictures", false);
  if (parsed.has("template")) session.workflow = parsed.text("template");
  session.live = parsed.values.value("live", 0);
  session.per_minute = parsed.values.value("rate", session.per_minute);
  if (session.count < 0 || session.live < 0 || session.results.particles < 0 || !(session.per_minute > 0))
    throw Error(ErrorCode::bad_input, "--count, --particles and --live cannot be negative, --rate must be above 0");
  return rehearse(session, parsed.text("output"), parsed.has("json"));
}

std::vector<FieldInfo> flags() {
  auto list = describe<sim::Scene>();
  list.push_back(option("output", "string", "Folder to write into (-o)"));
  list.push_back(option("json", "boolean", "One JSON line an item on standard output"));
  list.push_back(option("help", "boolean", "This text"));
  list.push_back(option("replay", "string", "Folder of recorded files to drop into --into"));
  list.push_back(option("into", "string", "Folder that receives the replayed files"));
  list.push_back(option("rate", "number", "Replayed files a minute"));
  list.push_back(option("fault", "string", "Faults of the replay: late,truncated,forever,duplicate,out-of-order"));
  list.push_back(option("template", "string", "Kind project: workflow that is rehearsed; default picking"));
  list.push_back(option("live", "integer", "Kind project: so many more movies come while the engine works, at --rate"));
  list.push_back(option("no_pictures", "boolean", "Kind project: records alone, no pictures and particle tables"));
  return list;
}

}  // namespace

void write_scene(const sim::Scene& scene, const std::string& folder, bool json) {
  const auto specimens = read_specimens(scene);
  make_folders(folder);
  write_truth_maps(scene, specimens, folder);
  if (scene.kind == sim::SceneKind::particles)
    write_stack(scene, specimens, folder, json);
  else
    write_areas(scene, specimens, folder, json);
}

int simulate_command(Arguments arguments) {
  const auto parsed = parse(arguments, flags());
  if (parsed.has("help")) {
    std::cout << "frazil simulate [SCENE.json] -o DIR [--parameter value]...\n"
                 "frazil simulate --replay DIR --into FOLDER --rate N [--fault late,truncated,...]\n"
                 "frazil simulate --kind project --count N --particles N -o DIR [--template NAME] [--live N --rate N]: "
                 "a project of N movies whose results are made up\n\nAny parameter of "
                 "the scene may stand in SCENE.json or as a flag:\n"
              << help_text(flags(), true);
    return ok;
  }
  if (parsed.has("replay")) return replay(parsed);
  if (!parsed.has("output"))
    throw Error(ErrorCode::bad_input, "simulate needs -o DIR, or --replay DIR --into FOLDER --rate N");
  if (parsed.positional.size() > 1)
    throw Error(ErrorCode::bad_input, "simulate takes one SCENE.json, not {}", parsed.positional.size());
  Json scene_json = Json::object();
  std::string name = "scene";
  if (!parsed.positional.empty()) {
    name = parsed.positional[0];
    try {
      scene_json = Json::parse(read_text(name));
    } catch (const Json::parse_error& problem) {
      throw Error(ErrorCode::bad_input, "{}: not JSON: {}", name, problem.what());
    }
  }
  if (!scene_json.is_object()) throw Error(ErrorCode::bad_input, "{}: must hold one JSON object", name);
  for (const auto& [key, value] : parsed.values.items())
    if (const auto fields = describe<sim::Scene>();
        std::any_of(fields.begin(), fields.end(), [&, &flag = key](const FieldInfo& f) { return f.name == flag; }))
      scene_json[key] = value;
  if (scene_json.value("kind", "") == "project") return simulate_project(parsed, scene_json);
  if (!scene_json.contains("threads")) scene_json["threads"] = available_cpus();
  write_scene(sim::scene_from_json(scene_json, name), parsed.text("output"), parsed.has("json"));
  return ok;
}

}  // namespace frazil::cli
