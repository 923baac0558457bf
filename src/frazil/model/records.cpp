#include "frazil/model/records.hpp"

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
template Json record_to_json<Coordinates>(const Coordinates&);
template Coordinates record_from_json<Coordinates>(const Json&);
template Json record_to_json<Particles>(const Particles&);
template Particles record_from_json<Particles>(const Json&);
template Json record_to_json<Classes>(const Classes&);
template Classes record_from_json<Classes>(const Json&);
template Json record_to_json<VolumeMap>(const VolumeMap&);
template VolumeMap record_from_json<VolumeMap>(const Json&);
template Json record_to_json<Decision>(const Decision&);
template Decision record_from_json<Decision>(const Json&);

}  // namespace frazil
