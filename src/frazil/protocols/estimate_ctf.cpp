#include "frazil/protocols/estimate_ctf.hpp"

#include "frazil/base/files.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/protocols/from_file.hpp"

namespace frazil::protocols {
namespace {

void write_profile(const std::filesystem::path& path, const ctf::Fit& fit) {
  Json alternatives = Json::array();
  for (const auto& a : fit.alternatives) alternatives.push_back({{"defocus_A", a.defocus.value()}, {"probability", a.probability}});
  const Json profile = {{"k_per_A", fit.profile.k_per_A},         {"measured", fit.profile.measured},
                        {"fit", fit.profile.model},               {"correlation", fit.profile.correlation},
                        {"fit_resolution_A", fit.fit_resolution.value()}, {"sigma_defocus_A", fit.sigma_defocus.value()},
                        {"sigma_astigmatism_A", fit.sigma_astigmatism.value()}, {"sigma_phase_deg", fit.sigma_phase.value()},
                        {"alternatives", alternatives}};
  write_text(path, profile.dump());
}

void write_row(const std::filesystem::path& path, const CtfFit& fit) {
  io::OpticsGroup group;
  group.optics = fit.optics;
  group.micrograph_pixel_size = fit.pixel_size;
  io::StarTable table("micrographs", {"rlnMicrographName", "rlnOpticsGroup", "rlnDefocusU", "rlnDefocusV", "rlnCtfAstigmatism", "rlnDefocusAngle",
                                      "rlnPhaseShift", "rlnCtfFigureOfMerit", "rlnCtfMaxResolution"});
  const auto row = table.add_row();
  table.set(row, "rlnMicrographName", std::string_view(fit.micrograph));
  table.set(row, "rlnOpticsGroup", 1);
  table.set(row, "rlnDefocusU", fit.defocus_u.value());
  table.set(row, "rlnDefocusV", fit.defocus_v.value());
  table.set(row, "rlnCtfAstigmatism", (fit.defocus_u - fit.defocus_v).value());
  table.set(row, "rlnDefocusAngle", fit.astigmatism_angle.value());
  table.set(row, "rlnPhaseShift", fit.phase_shift.value());
  table.set(row, "rlnCtfFigureOfMerit", fit.score);
  table.set(row, "rlnCtfMaxResolution", fit.fit_resolution.value());
  io::StarFile file;
  file.add(io::optics_table({{group}}));
  file.add(std::move(table));
  io::write_star(path, file);
}

}  // namespace

ctf::PowerSpectrum power_spectrum_of(const Micrograph& micrograph, CtfInput kind, int box, flow::Context& context) {
  const auto image = io::read_image(context.input(micrograph.path));
  try {
    if (kind == CtfInput::spectrum) return ctf::from_amplitude(image, micrograph.pixel_size);
    return ctf::power_spectrum(image, micrograph.pixel_size, {.box = box, .threads = context.threads()});
  } catch (const Error& error) {
    throw Error(error.code(), "{}: {}", micrograph.path, error.what());
  }
}

CtfFit EstimateCtf::process(const Micrograph& micrograph, flow::Context& context) const {
  const auto power = power_spectrum_of(micrograph, params.input_kind, params.box, context);
  context.check_cancelled();
  const auto found = ctf::fit(power, micrograph.optics, params);
  const auto stem = area_name(micrograph.name.empty() ? micrograph.path : micrograph.name) + "_ctf";

  CtfFit out;
  out.micrograph = micrograph.path;
  out.name = micrograph.name;
  out.pixel_size = micrograph.pixel_size;
  out.optics = micrograph.optics;
  out.defocus_u = found.ctf.defocus_u;
  out.defocus_v = found.ctf.defocus_v;
  out.astigmatism_angle = found.ctf.astigmatism_angle;
  out.phase_shift = found.ctf.phase_shift;
  out.fit_resolution = found.fit_resolution;
  out.score = found.score;
  out.sigma_defocus = found.sigma_defocus;
  out.iceness = found.iceness;
  out.b_factor = found.b_factor;
  out.method = EnumNames<CtfMethod>::names[static_cast<std::size_t>(params.method)];
  out.power_spectrum = context.reference(stem + ".png");
  out.star = context.reference(stem + ".star");
  out.profile = context.reference(stem + ".json");

  io::write_png(context.output(stem + ".png"), ctf::ring_picture(power, micrograph.optics, found.ctf, params), -1.0F, 1.0F);
  write_row(context.output(stem + ".star"), out);
  write_profile(context.output(stem + ".json"), found);
  return out;
}

int EstimateCtf::memory_mib(const Micrograph& micrograph) const {
  return 64 + static_cast<int>(double{1} * micrograph.nx * micrograph.ny * 4 / (1 << 20)) * 2;
}

}  // namespace frazil::protocols
