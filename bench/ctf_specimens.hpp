// Calibration of the CTF estimators over specimens: ice, proteins of several sizes and densities, carbon, phase plate,
// near focus.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace frazil::bench {

/// Simulates micrographs `first` … `first + count − 1` of each kind of specimen (`only`: of one; empty: of all), fits
/// their spectra with both estimators and prints for each kind the median error, the failures and the SD of true error
/// over claimed error of defocus and of both astigmatism components.
/// @param keep  folder where spectra and fits (`fits.csv`) are kept; spectra that lie there are not simulated again.
///              Empty: nothing is kept
/// @throws Error(bad_input) if there is no such kind
void report_specimens(std::size_t first, std::size_t count, std::uint64_t seed, const std::string& only,
                      const std::string& keep);

}  // namespace frazil::bench
