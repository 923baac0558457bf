// Where and how one movie was taken, as the microscope's software tells it beside the image.
#pragma once

#include <optional>
#include <string>

#include "frazil/params/fields.hpp"

namespace frazil {

/// What is not known is empty.
struct ExposureInfo {
  std::string grid_square, hole,
      shot;              ///< names within the acquisition; a shot is one place of the template repeated at every hole
  std::string acquired;  ///< date and time as written, ISO 8601 where the program writes it
  std::optional<double> stage_x_um, stage_y_um, stage_z_um;
  std::optional<double> beam_shift_x,
      beam_shift_y;  ///< in the units of the program (EPU: scan units; SerialEM: image shift in µm)
  std::optional<double> applied_defocus_um;  ///< as asked of the microscope, underfocus negative
  std::optional<double> pixel_size_A, voltage_kV;

  friend bool operator==(const ExposureInfo&, const ExposureInfo&) = default;

  static constexpr auto fields() {
    using P = ExposureInfo;
    return std::tuple(field(&P::grid_square, "grid_square", "Grid square"), field(&P::hole, "hole", "Hole of the foil"),
                      field(&P::shot, "shot", "Place of the template that is repeated at every hole"),
                      field(&P::acquired, "acquired", "Date and time"),
                      field(&P::stage_x_um, "stage_x_um", "Stage position in um"),
                      field(&P::stage_y_um, "stage_y_um", "Stage position in um"),
                      field(&P::stage_z_um, "stage_z_um", "Stage position in um"),
                      field(&P::beam_shift_x, "beam_shift_x", "Beam shift (EPU) or image shift in um (SerialEM)"),
                      field(&P::beam_shift_y, "beam_shift_y", "Beam shift (EPU) or image shift in um (SerialEM)"),
                      field(&P::applied_defocus_um, "applied_defocus_um",
                            "Defocus asked of the microscope in um, underfocus negative"),
                      field(&P::pixel_size_A, "pixel_size_A", "Pixel size that the microscope tells, in A"),
                      field(&P::voltage_kV, "voltage_kV", "Voltage that the microscope tells, in kV"));
  }
};

}  // namespace frazil
