#include "frazil/protocols/initial_volume.hpp"

#include <algorithm>

#include "frazil/algo/recon/fsc.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/protocols/micrograph_image.hpp"
#include "frazil/protocols/particle_files.hpp"
#include "frazil/protocols/protocol_of.hpp"
#include "frazil/protocols/usable_particles.hpp"

namespace frazil::protocols {
namespace {

/// Box that holds the finest detail asked for with a fifth to spare; images less than half as large again stay as they
/// are, so that the map keeps the sampling of its particles.
int needed_box(int box, Angstrom pixel_size, Angstrom finest) {
  const int enough = good_size(static_cast<int>(2.4 * box * (pixel_size / finest)));
  return 2 * box < 3 * enough ? box : enough;
}

std::vector<initvol::ParticleImage> load(const ParticleFiles& files, Angstrom finest, const flow::Context& context) {
  const auto& set = files.set;
  if (set.phase_flipped)
    throw Error(
        ErrorCode::unsupported,
        "initial-volume: the particles are phase-flipped; extract them without, the CTF is part of the model here");
  const int box = needed_box(set.box, set.pixel_size, finest);
  std::vector<initvol::ParticleImage> particles(set.count());
  parallel_for(context.threads(), particles.size(), [&](std::size_t i) {
    context.check_cancelled();
    auto image = set.image(i);
    image.pixel_size = set.pixel_size;
    auto& p = particles[i];
    p.image = box == set.box ? std::move(image) : fourier_resize(image, box, box);
    p.ctf = set.ctf[i];
    p.optics = set.optics[i];
    p.origin_x = Angstrom(files.table.number_or(i, "rlnOriginXAngst", 0));
    p.origin_y = Angstrom(files.table.number_or(i, "rlnOriginYAngst", 0));
  });
  return particles;
}

/// Poses, origins and halves added to the rows of the particles used.
io::StarTable pose_table(const ParticleFiles& files, const std::vector<initvol::Pose>& poses) {
  std::vector<std::size_t> rows;
  for (const auto& pose : poses) rows.push_back(pose.particle);
  auto table = pick_rows(files.table, rows);
  for (const auto* label : {"rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst",
                            "rlnRandomSubset", "rlnLogLikeliContribution"})
    table.add_column(label);
  for (std::size_t row = 0; row < poses.size(); ++row) {
    const auto angles = recon::orientation(poses[row].rotation);
    table.set(row, "rlnAngleRot", angles.rot.value());
    table.set(row, "rlnAngleTilt", angles.tilt.value());
    table.set(row, "rlnAnglePsi", angles.psi.value());
    table.set(row, "rlnOriginXAngst", poses[row].origin_x.value());
    table.set(row, "rlnOriginYAngst", poses[row].origin_y.value());
    table.set(row, "rlnRandomSubset", poses[row].half + 1);
    table.set(row, "rlnLogLikeliContribution", poses[row].log_likelihood);
  }
  return table;
}

/// Three central sections above the three projections along the axes, side by side.
Image contact_sheet(const Volume& volume) {
  const int n = volume.nx();
  Image sheet(3 * n, 2 * n, volume.pixel_size);
  const auto voxel = [&](int axis, int u, int v, int depth) {
    return axis == 0 ? volume(depth, u, v) : axis == 1 ? volume(u, depth, v) : volume(u, v, depth);
  };
  for (int axis = 0; axis < 3; ++axis)
    for (int v = 0; v < n; ++v)
      for (int u = 0; u < n; ++u) {
        float sum = 0;
        for (int depth = 0; depth < n; ++depth) sum += voxel(axis, u, v, depth);
        sheet(axis * n + u, v) = voxel(axis, u, v, n / 2);
        sheet(axis * n + u, n + v) = sum / 12;  // brings projections near the grey scale of sections
      }
  return sheet;
}

}  // namespace

VolumeMap InitialVolume::process(const Particles& particles, flow::Context& context) const {
  auto files = read_particles({particles}, context);
  const auto left_out = keep_usable(files, context);
  auto settings = params;
  if (settings.diameter <= 0_A) settings.diameter = 1.2 * particles.diameter;  // a little air around the particle
  const Angstrom field = files.set.box * files.set.pixel_size;
  if (settings.diameter > 0_A)
    settings.diameter = std::min(settings.diameter, params.diameter > 0_A ? settings.diameter : 0.95 * field);
  const auto images = load(files, settings.final_resolution, context);
  const initvol::Hooks hooks{
      .progress = [&](double fraction, std::string_view what) { context.progress(fraction, what); },
      .check_cancelled = [&] { context.check_cancelled(); }};
  const auto found = initvol::initial_volume(images, settings, context.rng(), context.threads(), hooks);
  for (const auto* map : {&found.volume, &found.half1, &found.half2}) check_finite(map->voxels(), "initial volume");
  io::write_volume(context.output("volume.mrc"), found.volume);
  io::write_volume(context.output("half1.mrc"), found.half1);
  io::write_volume(context.output("half2.mrc"), found.half2);
  auto curve = record_to_json(found.fsc);
  curve["resolution_A"] = found.resolution.value();
  curve["start_scores"] = found.start_scores;
  write_text(context.output("fsc.json"), curve.dump(1));
  write_particles(context.output("particles.star"), files.groups, pose_table(files, found.poses));
  io::write_png_auto(context.output("volume.png"), contact_sheet(found.volume));

  VolumeMap map;
  map.volume = context.reference("volume.mrc");
  map.half1 = context.reference("half1.mrc");
  map.half2 = context.reference("half2.mrc");
  map.box = found.volume.nx();
  map.pixel_size = found.volume.pixel_size;
  map.score = found.score;
  map.resolution = found.resolution;
  map.particle_count = static_cast<int>(found.poses.size());
  map.symmetry = params.symmetry;
  map.star = context.reference("particles.star");
  map.fsc = context.reference("fsc.json");
  map.left_out_reasons = left_out.reasons;
  map.left_out_counts = left_out.counts;
  return map;
}

template flow::Protocol protocol_of<InitialVolume>();

}  // namespace frazil::protocols
