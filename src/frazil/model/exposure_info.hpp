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
  std::optional<double> stage_tilt_deg;      ///< of the specimen, either sign
  std::optional<double> pixel_size_A, voltage_kV;
  std::optional<double>
      image_width_px;                   ///< of the image that this pixel size is of; the frames may be binned otherwise
  std::optional<double> dose_e_per_A2;  ///< of the whole exposure
  std::optional<double> frames;         ///< of the movie
  std::string metadata;                 ///< which file tells: "EPU's XML", "the mdoc file"
  std::optional<double> file_pixel_size_A, file_dose_e_per_A2;  ///< as the header of the image says; EER: of the sensor

  friend bool operator==(const ExposureInfo&, const ExposureInfo&) = default;

  static constexpr auto fields() {
    using P = ExposureInfo;
    return std::tuple(
        field(&P::grid_square, "grid_square", "Grid square"), field(&P::hole, "hole", "Hole of the foil"),
        field(&P::shot, "shot", "Place of the template that is repeated at every hole"),
        field(&P::acquired, "acquired", "Date and time"), field(&P::stage_x_um, "stage_x_um", "Stage position in um"),
        field(&P::stage_y_um, "stage_y_um", "Stage position in um"),
        field(&P::stage_z_um, "stage_z_um", "Stage position in um"),
        field(&P::beam_shift_x, "beam_shift_x", "Beam shift (EPU) or image shift in um (SerialEM)"),
        field(&P::beam_shift_y, "beam_shift_y", "Beam shift (EPU) or image shift in um (SerialEM)"),
        field(&P::applied_defocus_um, "applied_defocus_um",
              "Defocus asked of the microscope in um, underfocus negative"),
        field(&P::stage_tilt_deg, "stage_tilt_deg", "Tilt of the stage in degrees"),
        field(&P::pixel_size_A, "pixel_size_A", "Pixel size that the microscope tells, in A"),
        field(&P::voltage_kV, "voltage_kV", "Voltage that the microscope tells, in kV"),
        field(&P::image_width_px, "image_width_px", "Columns of the image that this pixel size is of"),
        field(&P::dose_e_per_A2, "dose_e_per_A2", "Exposure that the microscope tells, in e-/A^2"),
        field(&P::frames, "frames", "Frames that the microscope tells"),
        field(&P::metadata, "metadata", "Which file tells"),
        field(&P::file_pixel_size_A, "file_pixel_size_A", "Pixel size in the header of the image, in A"),
        field(&P::file_dose_e_per_A2, "file_dose_e_per_A2", "Exposure in the header of the image, in e-/A^2"));
  }
};

}  // namespace frazil
