#include "frazil/io/session_metadata.hpp"

#include <gtest/gtest.h>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"
#include "frazil/io/test_files.hpp"

namespace frazil::io {
namespace {

namespace fs = std::filesystem;

TEST(SessionMetadata, ReadsEpuNamesOfSeveralVersions) {
  const auto info =
      parse_epu_name("Images-Disc1/GridSquare_8999138/Data/FoilHole_9015883_Data_9017347_6_20250108_154915_EER.eer");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->grid_square, "8999138");
  EXPECT_EQ(info->hole, "9015883");
  EXPECT_EQ(beam_shift_group(*info), "shot9017347") << "the place of the template, the same at every hole";
  EXPECT_EQ(info->acquired, "2025-01-08T15:49:15");
  const auto older = parse_epu_name("FoilHole_5850127_Data_5798426_5798428_20221104_061329_fractions.tiff");
  ASSERT_TRUE(older);
  EXPECT_EQ(older->shot, "5798426");
  EXPECT_EQ(older->acquired, "2022-11-04T06:13:29");
  for (const auto* other : {"movie_0001.tiff", "FoilHole_1_Data_.tiff", "FoilHole_x_Data_1_2_20221104_061329.tiff",
                            "FoilHole_9015889_20250108_154715.jpg"})
    EXPECT_FALSE(parse_epu_name(other)) << other;
}

TEST(SessionMetadata, ReadsWhatAnXmlFileSaysAndRefusesOthers) {
  const auto info = parse_epu_xml(
      R"(<MicroscopeImage xmlns="a" xmlns:b="c"><CustomData><b:KeyValueOfstringanyType><b:Key>AppliedDefocus</b:Key>
        <b:Value>-1.4E-06</b:Value></b:KeyValueOfstringanyType></CustomData>
    <SpatialScale><pixelSize><x><numericValue>1.25E-10</numericValue></x></pixelSize></SpatialScale><microscopeData>
      <gun><AccelerationVoltage>300000</AccelerationVoltage></gun>
    <optics><BeamShift><b:_x>0.25</b:_x><b:_y>-0.5</b:_y></BeamShift></optics>
    <stage><Position><A>0.5236</A><X>-0.0008</X>
      <Y>0.0001</Y></Position></stage></microscopeData></MicroscopeImage>)",
      "x.xml");
  EXPECT_NEAR(*info.applied_defocus_um, -1.4, 1e-12);
  EXPECT_NEAR(*info.pixel_size_A, 1.25, 1e-12);
  EXPECT_EQ(info.voltage_kV, 300);
  EXPECT_EQ(info.metadata, "EPU's XML");
  EXPECT_FALSE(info.dose_e_per_A2 || info.frames || info.image_width_px);
  EXPECT_EQ(info.beam_shift_y, -0.5);
  EXPECT_NEAR(*info.stage_x_um, -800, 1e-9);
  EXPECT_NEAR(*info.stage_tilt_deg, 30, 1e-3) << "radians in the file";
  EXPECT_FALSE(info.stage_z_um);
  for (const auto* text : {"", "<a>", "<a></a>", "no XML"})
    EXPECT_THROW((void)parse_epu_xml(text, "x.xml"), Error) << text;
}

TEST(SessionMetadata, ReadsExposureAndFrames) {
  const auto xml = parse_epu_xml(
      R"(<MicroscopeImage xmlns:b="c"><CustomData><b:KeyValueOfstringanyType><b:Key>DoseOnCamera</b:Key>
        <b:Value>105.7</b:Value></b:KeyValueOfstringanyType><b:KeyValueOfstringanyType><b:Key>Dose</b:Key>
        <b:Value>6.4E+21</b:Value></b:KeyValueOfstringanyType></CustomData><acquisition><camera><CameraSpecificInput>
        <b:KeyValueOfstringanyType><b:Key>FractionationSettings</b:Key><b:Value>
        <b:NumberOffractions>70</b:NumberOffractions></b:Value></b:KeyValueOfstringanyType></CameraSpecificInput>
        <ReadoutArea><b:height>2046</b:height>
        <b:width>2880</b:width></ReadoutArea></camera></acquisition></MicroscopeImage>)",
      "x.xml");
  EXPECT_NEAR(*xml.dose_e_per_A2, 64, 1e-9) << "written per square metre";
  EXPECT_EQ(xml.frames, 70);
  EXPECT_EQ(xml.image_width_px, 2880);
  const auto mdoc = parse_mdoc(
      "PixelSpacing = 0.83\nExposureDose = 50\nNumSubFrames = 40\nFrameDosesAndNumber = 0.5 10 1.5 30\n", "x.mdoc");
  EXPECT_EQ(mdoc.dose_e_per_A2, 50);
  EXPECT_EQ(mdoc.frames, 40);
  EXPECT_EQ(mdoc.pixel_size_A, 0.83);
  const auto unknown = parse_mdoc("ExposureDose = 0\nNumSubFrames = 46\nFrameDosesAndNumber = 0 46\n", "x.mdoc");
  EXPECT_FALSE(unknown.dose_e_per_A2) << "0 is what the program writes that does not know";
  EXPECT_EQ(unknown.frames, 46);
}

TEST(SessionMetadata, OneThatIsNoMetadataIsNotReadWhole) {
  const TestFolder folder;
  std::ofstream(folder / "m.mrc.mdoc") << "Voltage = 300\n";
  EXPECT_TRUE(has_metadata_file(folder / "m.mrc", {}));
  fs::resize_file(folder / "m.mrc.mdoc", std::uintmax_t{1} << 40);  // sparse
  EXPECT_FALSE(has_metadata_file(folder / "m.mrc", {}));
  const std::string movie = "FoilHole_1_Data_2_3_20240101_120000", text = "<MicroscopeImage></MicroscopeImage>";
  std::string wide = "\xff\xfe";
  for (const char c : "<?xml version=\"1.0\" encoding=\"utf-16\"?>" + text) wide += std::string{c, '\0'};
  std::ofstream(folder / (movie + ".xml")) << wide;
  EXPECT_TRUE(has_metadata_file(folder / (movie + "_fractions.tiff"), {}));
}

TEST(SessionMetadata, ReadsMdocFiles) {
  const auto info = parse_mdoc(
      "T = SerialEM\r\nVoltage = 300\r\n\r\n[FrameSet = 0]\r\nStagePosition = 792.824 -213.633\r\nImageShift = 0.37 "
      "0.14\r\nMultishotHoleAndPosition = 2-1\r\nTargetDefocus = -2\r\nTiltAngle = -30.01\r\n",
      "x.mdoc");
  EXPECT_EQ(info.stage_tilt_deg, -30.01);
  EXPECT_EQ(info.stage_y_um, -213.633);
  EXPECT_EQ(info.shot, "2-1");
  EXPECT_EQ(info.applied_defocus_um, -2);
  EXPECT_THROW((void)parse_mdoc("nothing", "x.mdoc"), Error);
}

TEST(SessionMetadata, FindsTheFilesOfARealSession) {
  const auto data = shared_data();
  if (!data || !fs::exists(*data / "session-metadata"))
    GTEST_SKIP() << "no real files of a session here (set FRAZIL_SHARED to the folder that holds session-metadata)";
  const auto session = *data / "session-metadata";
  const fs::path relative =
      "Images-Disc1/GridSquare_8999186/Data/FoilHole_9028219_Data_9017354_50_20250109_062624_fractions.tiff";
  const auto info = find_exposure_info("elsewhere" / relative, session / "epu-dir-example");  // movies on another disk
  ASSERT_TRUE(info);
  EXPECT_EQ(info->grid_square, "8999186");
  EXPECT_EQ(info->acquired, "2025-01-09T06:26:26.4345786+00:00") << "more exact than the name";
  EXPECT_NEAR(*info->stage_x_um, -472.5207458, 1e-6);
  EXPECT_NEAR(*info->beam_shift_x, -0.32477155327796936, 1e-12);
  EXPECT_NEAR(*info->pixel_size_A, 1.0558814239614023, 1e-9);
  EXPECT_NEAR(*info->dose_e_per_A2, 14.1539, 1e-4);
  EXPECT_EQ(info->frames, 50);
  EXPECT_EQ(info->image_width_px, 2880);
  const auto* mdoc = "20220605_75157_20220605-aav2spr_1-1_counted_frames.mrc";
  const auto serial = find_exposure_info(session / "mdoc" / mdoc, {});
  ASSERT_TRUE(serial);
  EXPECT_EQ(serial->shot, "1-1");
  EXPECT_NEAR(*serial->stage_x_um, 792.824, 1e-9);
}

}  // namespace
}  // namespace frazil::io
