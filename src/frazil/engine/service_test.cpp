// Requests are what docs/api/engine-socket.json says they are.
#include "frazil/engine/service.hpp"

#include <gtest/gtest.h>

#include "frazil/base/files.hpp"
#include "frazil/engine/numbers.hpp"

namespace frazil::engine {
namespace {

TEST(Service, IsDescribedAsItIs) {
  const auto described = Json::parse(read_text(FRAZIL_API));
  EXPECT_EQ(described, Service::describe()) << "the file should be:\n" << Service::describe().dump(1);
}

TEST(Service, EveryRequestThatWritesHasAnActor) {
  const auto described = Service::describe();
  for (const auto& [name, info] : described.at("commands").items())
    EXPECT_EQ(info.at("changes").get<bool>(), info.at("takes").contains("actor")) << name;
}

TEST(Mailbox, AnswersInOrderAndRefusesWhenItIsClosed) {
  Mailbox mailbox;
  std::jthread loop([&](const std::stop_token& stop) {
    while (!stop.stop_requested())
      mailbox.serve([](const Command& command) {
        if (command.step == "wrong") throw Error(ErrorCode::bad_input, "wrong");
        return Done{{{"step", command.step}}, 7};
      });
  });
  Command command;
  command.step = "right";
  EXPECT_EQ(mailbox.post(command).answer.at("step"), "right");
  EXPECT_EQ(mailbox.post(command).sequence, 7);
  command.step = "wrong";
  EXPECT_THROW((void)mailbox.post(command), Error);
  loop.request_stop();
  loop.join();
  std::jthread closer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    mailbox.close();
  });
  EXPECT_THROW((void)mailbox.post(command), Error) << "while it waits";
  EXPECT_THROW((void)mailbox.post(command), Error) << "at once";
}

}  // namespace
}  // namespace frazil::engine
