#include "frazil/protocols/rehearsal.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "frazil/base/files.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/model/camera.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {
namespace {

namespace fs = std::filesystem;

constexpr int movie_side = 4096, movie_frames = 40, box = 256;
constexpr Angstrom pixel = 0.83_A;
constexpr Angstrom diameter = 130_A;

/// One execution whose results are made up.
struct Making {
  const flow::Protocol& protocol;
  const RehearsalParams& params;
  const flow::Records& inputs;
  const flow::Records* previous;
  flow::Context& context;
  Rng rng;

  /// The records of one kind on the input ports.
  template <class R>
  [[nodiscard]] std::vector<R> all() const {
    std::vector<R> list;
    for (const auto& port : protocol.inputs)
      if (port.kind == R::kind)
        if (const auto* records = flow::detail::find_port(inputs, port.name))
          for (const auto& json : *records) list.push_back(record_from_json<R>(json));
    return list;
  }
  template <class R>
  [[nodiscard]] std::optional<R> first() const {
    auto list = all<R>();
    if (list.empty()) return std::nullopt;
    return std::move(list.front());
  }
  /// The last version of a fold's output.
  template <class R>
  [[nodiscard]] R last() const {
    for (const auto& output : protocol.outputs)
      if (previous != nullptr && output.kind == R::kind)
        if (const auto* records = flow::detail::find_port(*previous, output.name); records != nullptr)
          if (!records->empty()) return record_from_json<R>(records->front());
    return {};
  }
  [[nodiscard]] std::string name() const {
    if (const auto movie = first<Movie>()) return movie->name;
    if (const auto mic = first<Micrograph>()) return mic->name;
    if (const auto fit = first<CtfFit>()) return fit->name;
    if (const auto positions = first<Coordinates>()) return positions->name;
    if (const auto particles = first<Particles>()) return particles->name;
    return "session";
  }
  /// A small picture, if pictures are made. @return how records name it
  std::string picture(std::string_view file) {
    if (!params.pictures) return context.reference(file);
    constexpr int side = 48;
    io::Picture grey(side, side, 1);
    const double kx = rng.uniform(0.1, 0.6), ky = rng.uniform(0.1, 0.6);
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x)
        *grey.at(x, y) = static_cast<std::uint8_t>(127 + 100 * std::sin(kx * x) * std::cos(ky * y));
    io::write_png(context.output(file), grey);
    return context.reference(file);
  }
  std::string table(std::string_view file, const io::StarFile& star) {
    if (params.pictures) io::write_star(context.output(file), star);
    return context.reference(file);
  }
};

/// Place in the session: the number in the file's name, which slow changes follow.
double place_of(const std::string& name) {
  const auto digits = name.find_last_of("0123456789");
  if (digits == std::string::npos) return 0;
  auto first = digits;
  while (first > 0 && std::isdigit(static_cast<unsigned char>(name[first - 1])) != 0) --first;
  return std::strtod(name.substr(first, std::min<std::size_t>(digits + 1 - first, 9)).c_str(), nullptr);
}

double log_normal(Rng& rng, double median, double sigma) { return median * std::exp(rng.normal(0, sigma)); }

Movie movie_of(const fs::path& path, const std::string& reference, const Json& params) {
  Movie movie;
  movie.path = reference;
  movie.name = path.stem().string();
  movie.nx = movie.ny = movie_side;
  movie.frames = movie_frames;
  movie.pixel_size = Angstrom(std::max(params.value("pixel_size", 0.0), 0.0));
  if (movie.pixel_size <= 0_A) movie.pixel_size = pixel;
  movie.optics.voltage = Kilovolt(params.value("voltage", 300.0));
  movie.optics.cs = Millimetre(params.value("cs", 2.7));
  movie.optics.optics_group = "opticsGroup" + std::to_string(static_cast<int>(place_of(movie.name)) % 9 + 1);
  movie.dose_per_frame = 1.0_e_per_A2;
  movie.gain = params.value("gain", "");
  return movie;
}

Json make_micrograph(Making& m) {
  Micrograph mic;
  const auto movie = m.first<Movie>();
  const auto from = m.first<Micrograph>();
  if (from) mic = *from;
  mic.name = m.name();
  mic.path = m.context.reference(mic.name + ".mrc");
  mic.nx = mic.ny = movie_side;
  mic.pixel_size = movie ? movie->pixel_size : pixel;
  if (movie) mic.optics = movie->optics;
  mic.thumbnail = m.picture(mic.name + "_thumbnail.png");
  return record_to_json(mic);
}

Json make_motion(Making& m) {
  Motion motion;
  const auto movie = m.first<Movie>().value_or(Movie{});
  const auto name = m.name();
  motion.movie = movie.path;
  motion.micrograph = m.context.reference(name + ".mrc");
  motion.micrograph_dw = m.context.reference(name + "_DW.mrc");
  motion.frames = movie_frames;
  motion.pixel_size = movie.pixel_size;
  const double path_A = log_normal(m.rng, 6, 0.5), angle = m.rng.uniform(0, 2 * std::numbers::pi);
  for (int frame = 0; frame < movie_frames; ++frame) {
    const double way_px = path_A / pixel.value() * (1 - std::exp(-frame / 8.0));
    motion.shifts_px.push_back({way_px * std::cos(angle), way_px * std::sin(angle)});
  }
  motion.shift_sigma_px = log_normal(m.rng, 0.05, 0.3);
  motion.total_path = Angstrom(path_A);
  motion.net_drift = Angstrom(0.9 * path_A);
  motion.max_step = Angstrom(0.12 * path_A);
  motion.local_amplitude = Angstrom(log_normal(m.rng, 0.6, 0.4));
  motion.plot = m.picture(name + "_motion.png");
  motion.dose = movie_frames * movie.dose_per_frame;
  motion.fixed_pattern = log_normal(m.rng, 0.01, 0.2);
  return record_to_json(motion);
}

/// Stigmator and ice change slowly along the session; every thirtieth micrograph or so is bad.
Json make_ctf_fit(Making& m) {
  CtfFit fit = m.first<CtfFit>().value_or(CtfFit{});
  fit.name = m.name();
  if (const auto mic = m.first<Micrograph>()) {
    fit.micrograph = mic->path;
    fit.pixel_size = mic->pixel_size;
    fit.optics = mic->optics;
  }
  const double place = place_of(fit.name);
  const bool bad = m.rng.uniform() < 0.03;
  fit.defocus_u = Angstrom(8000 + 2000 * std::fmod(place, 8) + m.rng.normal(0, 400));
  fit.defocus_v = fit.defocus_u - Angstrom(std::abs(120 + 80 * std::sin(place / 900) + m.rng.normal(0, 30)));
  fit.astigmatism_angle = Degrees(std::fmod(40 + place / 200 + m.rng.uniform(0, 8), 180));
  fit.fit_resolution = Angstrom(bad ? m.rng.uniform(10, 20) : log_normal(m.rng, 3.4, 0.12));
  fit.score = bad ? m.rng.uniform(0.05, 0.2) : m.rng.uniform(0.5, 0.9);
  fit.sigma_defocus = Angstrom(log_normal(m.rng, bad ? 80 : 8, 0.3));
  fit.sigma_astigmatism = fit.sigma_defocus;
  fit.iceness = log_normal(m.rng, 0.01 * (1 + 0.5 * std::sin(place / 500)), 0.4);
  fit.b_factor = Angstrom2(log_normal(m.rng, 60, 0.2));
  fit.thickness = Angstrom(0);
  fit.agreement = fit.fit_resolution;
  fit.quality.visibility = m.rng.uniform(0.1, 0.4);
  fit.quality.first_zero = Angstrom(log_normal(m.rng, 17, 0.2));
  fit.quality.envelope_end = Angstrom(3);
  fit.quality.confidence = bad ? 0.6 : 1;
  fit.method = m.protocol.name;
  fit.power_spectrum = m.picture(fit.name + "_ctf.png");
  return record_to_json(fit);
}

Json make_consensus(Making& m) {
  CtfConsensus verdict;
  const auto fit = m.first<CtfFit>().value_or(CtfFit{});
  verdict.micrograph = fit.micrograph;
  verdict.name = fit.name;
  verdict.defocus_u = fit.defocus_u;
  verdict.defocus_v = fit.defocus_v;
  verdict.astigmatism_angle = fit.astigmatism_angle;
  verdict.sigma_defocus = fit.sigma_defocus;
  verdict.agreement = fit.agreement;
  verdict.difference = Angstrom(m.rng.normal(0, 12));
  verdict.methods = {"rings", "model"};
  verdict.used = {1, 1};
  return record_to_json(verdict);
}

Json make_detector(Making& m) {
  Detector detector;
  const auto movie = m.first<Movie>().value_or(Movie{});
  detector.movie = movie.path;
  detector.name = m.name();
  detector.nx = movie.nx;
  detector.ny = movie.ny;
  detector.frames = movie_frames;
  detector.pixel_size = pixel;
  detector.noise_ratio = 0.98;
  detector.counts = 0.69 * (1 + 0.02 * std::sin(place_of(detector.name) / 700)) * (1 + m.rng.normal(0, 0.01));
  detector.dose_per_frame = Dose(detector.counts / (pixel.value() * pixel.value()));
  detector.declared_dose_per_frame = movie.dose_per_frame;
  detector.hot = static_cast<int>(m.rng.poisson(4));
  detector.orientation = "none";
  detector.verdict = "good";
  return record_to_json(detector);
}

Json make_detector_trend(Making& m) {
  auto trend = m.last<DetectorTrend>();
  const auto batch = m.all<Detector>();
  ++trend.version;
  trend.batch = static_cast<int>(batch.size());
  trend.movies += trend.batch;
  if (!batch.empty()) trend.counts = batch.back().counts;
  trend.levels = {trend.counts};
  trend.is_sure = true;
  trend.residual_std = log_normal(m.rng, 0.004, 0.1);
  trend.residual_sigma = 1e-6;
  trend.verdict = "good";
  return record_to_json(trend);
}

Json make_mask(Making& m) {
  MicrographMask mask;
  mask.name = m.name();
  if (const auto mic = m.first<Micrograph>()) mask.micrograph = mic->path;
  mask.masked_fraction = mask.carbon_fraction = m.rng.uniform() < 0.05 ? m.rng.uniform(0, 0.3) : 0;
  return record_to_json(mask);
}

Json make_spectra(Making& m) {
  Spectra spectra;
  spectra.name = m.name();
  spectra.pixel_size = pixel;
  spectra.groups = 10;
  return record_to_json(spectra);
}

io::StarTable random_table(Rng& rng, std::string name, std::vector<std::string> labels, int count) {
  io::StarTable table(std::move(name), std::move(labels));
  for (int i = 0; i < count; ++i) {
    const auto row = table.add_row();
    for (int column = 0; column < table.columns(); ++column)
      table.set(row, column, std::round(rng.uniform(0, movie_side)));
  }
  return table;
}

Json make_coordinates(Making& m) {
  Coordinates positions;
  positions.name = m.name();
  if (const auto mic = m.first<Micrograph>()) positions.micrograph = mic->path;
  positions.count = static_cast<int>(m.rng.poisson(m.params.particles));
  positions.diameter = diameter;
  positions.threshold = 5;
  io::StarFile star;
  star.add(random_table(m.rng, "", {"rlnCoordinateX", "rlnCoordinateY"}, positions.count));
  positions.coordinates = m.table(positions.name + "_picks.star", star);
  positions.picture = m.picture(positions.name + "_picks.png");
  return record_to_json(positions);
}

Particles particles_of(Making& m, int count) {
  Particles particles = m.first<Particles>().value_or(Particles{});
  particles.name = m.name();
  if (const auto mic = m.first<Micrograph>()) particles.micrograph = mic->path;
  particles.count = count;
  particles.box = box;
  particles.pixel_size = pixel;
  particles.diameter = diameter;
  return particles;
}

/// Rows whose images are in no file.
io::StarFile particle_table(Making& m, const Particles& particles) {
  io::OpticsGroup group;
  group.optics = particles.optics;
  group.image_size = particles.box;
  group.image_pixel_size = group.micrograph_pixel_size = particles.pixel_size;
  auto rows = random_table(m.rng, "particles", {"rlnCoordinateX", "rlnCoordinateY"}, particles.count);
  const auto image = rows.add_column("rlnImageName"), optics = rows.add_column("rlnOpticsGroup", "1");
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    rows.set(row, image, fmt::format("{:06}@{}.mrcs", row + 1, particles.name));
    rows.set(row, optics, 1);
  }
  io::StarFile star;
  star.add(io::optics_table(std::vector{group}));
  star.add(std::move(rows));
  return star;
}

void leave_out(Particles& particles, const std::string& reason, int count) {
  particles.left_out_reasons.clear();
  particles.left_out_counts.clear();
  if (count == 0) return;
  particles.left_out_reasons.push_back(reason);
  particles.left_out_counts.push_back(count);
}

/// As many as were picked but for those at the edge, as came in, or as are in chosen classes; of a step with a port for
/// those set aside one in ten goes there.
std::vector<Json> make_particles(Making& m, const std::string& port) {
  const auto positions = m.first<Coordinates>();
  const auto from = m.first<Particles>();
  const auto classes = m.first<Classes>();
  const int came = positions ? positions->count
                   : from    ? from->count
                   : classes ? classes->particle_count
                             : m.params.particles;
  const int outside = positions ? came / 12 : 0, unwanted = classes && !from ? came / 5 : 0,
            all = came - outside - unwanted;
  const bool parts = std::any_of(m.protocol.outputs.begin(), m.protocol.outputs.end(),
                                 [](const flow::PortInfo& p) { return p.name == "set_aside"; });
  const int aside = parts ? all / 10 : 0;
  auto particles = particles_of(m, port == "set_aside" ? aside : all - aside);
  leave_out(particles,
            positions ? "outside"
            : parts   ? "looks empty"
                      : "in classes set aside",
            port == "set_aside" ? 0 : outside + unwanted + aside);
  if (particles.micrograph.empty())
    particles.stack.clear();  // chosen from several stacks
  else
    particles.stack = m.context.reference(particles.name + ".mrcs");
  particles.star = m.table(particles.name + "_" + port + ".star", particle_table(m, particles));
  return {record_to_json(particles)};
}

Json make_classes(Making& m) {
  auto classes = m.last<Classes>();
  const auto given = m.first<Classes>();
  if (given) classes = *given;
  for (const auto& particles : m.all<Particles>()) classes.particle_count += particles.count;
  if (!given) ++classes.version;
  classes.classes = 50;
  classes.box = box;
  classes.pixel_size = pixel;
  classes.diameter = diameter;
  classes.averages = m.context.reference("averages.mrcs");
  classes.star = m.context.reference("classes.star");
  classes.counts.clear();
  classes.resolution.clear();
  for (int i = 0; i < classes.classes; ++i) {
    classes.counts.push_back(classes.particle_count / classes.classes);
    classes.resolution.push_back(Angstrom(log_normal(m.rng, 8, 0.3)));
    if (given) {
      classes.scores.push_back(m.rng.uniform());
      classes.selected.push_back(classes.scores.back() > 0.3 ? 1 : 0);
      classes.reasons.emplace_back(classes.selected.back() == 1 ? "" : "looks empty");
    }
  }
  return record_to_json(classes);
}

Json make_volume(Making& m) {
  VolumeMap volume;
  volume.volume = m.context.reference("volume.mrc");
  volume.box = 64;
  volume.pixel_size = 4 * pixel;
  volume.resolution = Angstrom(log_normal(m.rng, 9, 0.1));
  volume.score = m.rng.uniform(0.6, 0.9);
  if (const auto classes = m.first<Classes>()) volume.particle_count = classes->particle_count;
  for (const auto& particles : m.all<Particles>()) volume.particle_count += particles.count;
  return record_to_json(volume);
}

using Maker = Json (*)(Making&);
const std::map<std::string_view, Maker>& makers() {
  static const std::map<std::string_view, Maker> all = {
      {Micrograph::kind, make_micrograph},  {Motion::kind, make_motion},     {CtfFit::kind, make_ctf_fit},
      {CtfConsensus::kind, make_consensus}, {Detector::kind, make_detector}, {DetectorTrend::kind, make_detector_trend},
      {MicrographMask::kind, make_mask},    {Spectra::kind, make_spectra},   {Coordinates::kind, make_coordinates},
      {Classes::kind, make_classes},        {VolumeMap::kind, make_volume}};
  return all;
}

flow::Records make_up(Making m) {
  flow::Records records;
  for (const auto& output : m.protocol.outputs) {
    if (output.kind == Particles::kind) {
      records.emplace_back(output.name, make_particles(m, output.name));
    } else if (const auto found = makers().find(output.kind); found != makers().end()) {
      records.emplace_back(output.name, std::vector<Json>{found->second(m)});
    } else if (!output.optional) {
      throw Error(ErrorCode::unsupported, "{}: a rehearsal cannot make up a record of the kind {}", m.protocol.name,
                  output.kind);
    }
  }
  return records;
}

void rehearse_source(flow::Protocol& protocol) {
  const bool movies = protocol.outputs.front().kind == Movie::kind;
  protocol.source.check = [](const fs::path& path) -> flow::FileCheck {
    const auto text = read_text(path);
    if (text.starts_with("broken")) return {flow::FileCheck::State::broken, path.string() + ": says that it is broken"};
    if (text.starts_with("growing")) return {flow::FileCheck::State::growing, path.string() + ": says that it grows"};
    return {};
  };
  protocol.source.has_companion = nullptr;
  protocol.source.record = [movies](const fs::path& path, const std::string& reference, const Json& params) {
    const auto movie = movie_of(path, reference, params);
    if (movies) return record_to_json(movie);
    Micrograph mic;
    mic.path = reference;
    mic.name = movie.name;
    mic.nx = mic.ny = movie_side;
    mic.pixel_size = movie.pixel_size;
    mic.optics = movie.optics;
    return record_to_json(mic);
  };
}

/// What judges records and reads no file: monitor-ctf, and filters that can be asked about stored numbers.
bool runs_as_it_is(const flow::Protocol& protocol) {
  return protocol.shape == flow::Shape::filter || protocol.name == "monitor-ctf";
}

}  // namespace

flow::Registry rehearsal(const flow::Registry& real, const RehearsalParams& params) {
  flow::Registry registry;
  for (const auto& protocol : real.all()) {
    auto copy = protocol;
    copy.programs = nullptr;
    if (copy.shape == flow::Shape::source) {
      if (copy.outputs.front().kind == Particles::kind) continue;  // nothing to rehearse without movies or micrographs
      rehearse_source(copy);
    } else if (!runs_as_it_is(copy)) {
      copy.memory_mib = [](const Json&, const flow::Records&) { return 32; };
      copy.run = [protocol, params](const Json&, const flow::Records& inputs, const flow::Records* previous,
                                    flow::Context& context) {
        Making making{protocol, params, inputs, previous, context, context.rng()};
        if (making.name().find("refused") != std::string::npos && making.first<Movie>())
          throw Error(ErrorCode::bad_input, "{}: is refused", making.name());
        return make_up(std::move(making));
      };
    }
    registry.add(std::move(copy));
  }
  return registry;
}

}  // namespace frazil::protocols
