#include "frazil/model/records.hpp"

#include <cmath>

namespace frazil {

template Json record_to_json<Movie>(const Movie&);
template Movie record_from_json<Movie>(const Json&);
template Json record_to_json<Micrograph>(const Micrograph&);
template Micrograph record_from_json<Micrograph>(const Json&);
template Json record_to_json<Motion>(const Motion&);
template Motion record_from_json<Motion>(const Json&);
template Json record_to_json<CtfFit>(const CtfFit&);
template CtfFit record_from_json<CtfFit>(const Json&);
template Json record_to_json<CtfAssessment>(const CtfAssessment&);
template CtfAssessment record_from_json<CtfAssessment>(const Json&);
template Json record_to_json<CtfConsensus>(const CtfConsensus&);
template CtfConsensus record_from_json<CtfConsensus>(const Json&);
template Json record_to_json<CtfTrend>(const CtfTrend&);
template CtfTrend record_from_json<CtfTrend>(const Json&);
template Json record_to_json<Spectra>(const Spectra&);
template Spectra record_from_json<Spectra>(const Json&);
template Json record_to_json<Coordinates>(const Coordinates&);
template Coordinates record_from_json<Coordinates>(const Json&);
template Json record_to_json<Particles>(const Particles&);
template Particles record_from_json<Particles>(const Json&);
template Json record_to_json<Classes>(const Classes&);
template Classes record_from_json<Classes>(const Json&);
template Json record_to_json<VolumeMap>(const VolumeMap&);
template VolumeMap record_from_json<VolumeMap>(const Json&);

Angstrom CtfFit::defocus_offset(double x_A, double y_A) const {
  double offset = 0;
  if (sigma_tilt > 0_deg && tilt >= 3 * sigma_tilt && tilt >= 2_deg) {
    const double slope = std::tan(to_rad(tilt)), axis = to_rad(tilt_axis);
    offset += slope * (-std::sin(axis) * x_A + std::cos(axis) * y_A);
  }
  if (bend.size() == 3) offset += bend[0] * x_A * x_A + bend[1] * x_A * y_A + bend[2] * y_A * y_A;
  return Angstrom(offset);
}

}  // namespace frazil
