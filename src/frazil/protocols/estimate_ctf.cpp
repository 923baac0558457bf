#include "frazil/protocols/estimate_ctf.hpp"

#include "frazil/algo/ctf/tilt.hpp"
#include "frazil/base/files.hpp"
#include "frazil/image/sound.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/io/star.hpp"
#include "frazil/protocols/ctf_star.hpp"
#include "frazil/protocols/from_file.hpp"
#include "frazil/protocols/group_spectra.hpp"
#include "frazil/protocols/micrograph_image.hpp"
#include "frazil/protocols/protocol_of.hpp"

namespace frazil::protocols {
namespace {

constexpr double outlier_sigmas = 50;  // gold and ice reach 20; a pixel of 50 adds 7 % to the noise of its tile

void write_profile(const std::filesystem::path& path, const ctf::Fit& fit) {
  Json alternatives = Json::array();
  for (const auto& a : fit.alternatives)
    alternatives.push_back({{"defocus_A", a.defocus.value()}, {"probability", a.probability}});
  const Json profile = {{"k_per_A", fit.profile.k_per_A},
                        {"measured", fit.profile.measured},
                        {"fit", fit.profile.model},
                        {"correlation", fit.profile.correlation},
                        {"fit_resolution_A", fit.fit_resolution.value()},
                        {"sigma_defocus_A", fit.sigma_defocus.value()},
                        {"sigma_astigmatism_A", fit.sigma_astigmatism.value()},
                        {"sigma_phase_deg", fit.sigma_phase.value()},
                        {"alternatives", alternatives}};
  write_text(path, profile.dump());
}

}  // namespace

ctf::PowerSpectrum power_spectrum_of(const Micrograph& micrograph, const CtfSource& source, flow::Context& context,
                                     std::vector<ctf::RegionSpectrum>* regions) {
  try {
    if (source.kind == CtfInput::movie) {
      auto spectra = group_spectra_of_file(micrograph.path, source.gain, micrograph.pixel_size, source.frames_per_group,
                                           source.box, context);
      if (regions != nullptr) *regions = std::move(spectra.regions);
      return std::move(spectra.whole);
    }
    if (source.kind == CtfInput::spectrum) {
      const auto amplitude = io::read_image(context.input(micrograph.path));
      check_amplitude(amplitude);
      return ctf::from_amplitude(amplitude, micrograph.pixel_size);
    }
    auto image = read_micrograph(micrograph, context);
    // One hot pixel of 10⁵ has more power at every frequency than the rings of the whole micrograph.
    replace_outliers(image, outlier_sigmas);
    return ctf::power_spectrum(image, micrograph.pixel_size, {.box = source.box, .threads = context.threads()},
                               regions);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::bad_input || std::string_view(error.what()).starts_with(micrograph.path)) throw;
    throw Error(error.code(), "{}: {}", micrograph.path, error.what());
  }
}

CtfFit record_of(const ctf::Fit& found, const Micrograph& micrograph, CtfMethod method) {
  CtfFit out;
  out.micrograph = micrograph.path;
  out.name = micrograph.name;
  out.pixel_size = micrograph.pixel_size;
  out.optics = micrograph.optics;
  out.asked_defocus = micrograph.asked_defocus;
  out.stage_tilt = micrograph.stage_tilt;
  out.defocus_u = found.ctf.defocus_u;
  out.defocus_v = found.ctf.defocus_v;
  out.astigmatism_angle = found.ctf.astigmatism_angle;
  out.phase_shift = found.ctf.phase_shift;
  out.fit_resolution = found.fit_resolution;
  out.score = found.score;
  out.sigma_defocus = found.sigma_defocus;
  out.sigma_astigmatism = found.sigma_astigmatism;
  out.sigma_phase = found.sigma_phase;
  out.quality = found.quality;
  out.thickness = found.thickness;
  out.sigma_thickness = found.sigma_thickness;
  out.iceness = found.iceness;
  out.b_factor = found.b_factor;
  out.method = name_of(method);
  return out;
}

CtfFit EstimateCtf::process(const EstimateCtfInput& input, flow::Context& context) const {
  const auto& micrograph = input.micrograph;
  std::vector<ctf::RegionSpectrum> regions;
  ctf::PowerSpectrum power;
  if (input.spectra) {
    auto saved = read_spectra(*input.spectra, context);
    power = std::move(saved.whole);
    regions = std::move(saved.regions);
  } else {
    power = power_spectrum_of(micrograph, {params.input_kind, params.box, params.frames_per_group, params.gain},
                              context, &regions);
  }
  context.check_cancelled();
  if (params.use_prior && (params.method != CtfMethod::model || !input.prior))
    throw Error(ErrorCode::bad_input, "{}: use_prior needs the method model and an estimate on the port prior",
                micrograph.path);
  const auto prior = params.use_prior ? std::optional(canonical(input.prior->ctf())) : std::nullopt;
  const auto found = params.method == CtfMethod::model ? ctf::fit_model(power, micrograph.optics, params, prior)
                                                       : ctf::fit(power, micrograph.optics, params);
  const auto stem = area_name(micrograph.name.empty() ? micrograph.path : micrograph.name) + "_ctf";

  auto out = record_of(found, micrograph, params.method);
  if (const auto tilt = ctf::find_tilt(regions, power, micrograph.optics, found, params)) {
    out.tilt = tilt->tilt;
    out.tilt_axis = tilt->axis;
    out.sigma_tilt = tilt->sigma;
    if (tilt->bend != std::array<double, 3>{}) out.bend.assign(tilt->bend.begin(), tilt->bend.end());
  }
  out.power_spectrum = context.reference(stem + ".png");
  out.star = context.reference(stem + ".star");
  out.profile = context.reference(stem + ".json");

  io::write_png(context.output(stem + ".png"), ctf::ring_picture(power, micrograph.optics, found.ctf, params), -1.0F,
                1.0F);
  io::write_star(context.output(stem + ".star"), ctf_file(out));
  write_profile(context.output(stem + ".json"), found);
  return out;
}

int EstimateCtf::memory_mib(const EstimateCtfInput& input) const {
  const auto& micrograph = input.micrograph;
  return 128 + static_cast<int>(double{1} * micrograph.nx * micrograph.ny * 4 / (1 << 20)) * 4;
}

template flow::Protocol protocol_of<EstimateCtf>();

}  // namespace frazil::protocols
