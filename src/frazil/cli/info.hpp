// Commands that tell about the program itself: protocols, version, self-test.
#pragma once

#include "frazil/cli/command.hpp"

namespace frazil::cli {

int protocols_command(Arguments arguments);
int version_command(Arguments arguments);
/// Formats, codecs, CPU features, FFT, store, disk, optional programs: what works here.
int self_test_command(Arguments arguments);

}  // namespace frazil::cli
