#include "base/rpc/status_map.h"

#include <grpcpp/server_context.h>
#include <gtest/gtest.h>

namespace tidegate::rpc {
namespace {

grpc::Status to_grpc_alone(const Error& error) {
  grpc::CallbackServerContext context;
  return to_grpc(context, error);
}

TEST(StatusMap, EveryCodeSurvivesTheRoundTrip) {
  for (int number = 1; number <= static_cast<int>(Code::kUnauthenticated); ++number) {
    const Error error(static_cast<Code>(number), "some_reason", "some words");
    const grpc::Status status = to_grpc_alone(error);
    EXPECT_EQ(static_cast<int>(status.error_code()), number);
    EXPECT_EQ(from_grpc(status).code, error.code);
    EXPECT_EQ(from_grpc(status).message, "some words");
  }
}

TEST(StatusMap, ErrorWithoutACodeIsStillAnError) {
  EXPECT_EQ(to_grpc_alone(Error(Code::kOk, "odd", "")).error_code(), grpc::StatusCode::UNKNOWN);
}

TEST(StatusMap, ForeignStatusGetsAReasonOfItsOwn) {
  EXPECT_EQ(from_grpc(grpc::Status(grpc::StatusCode::UNAVAILABLE, "no route")).reason, "rpc_unavailable");
}

TEST(StatusMap, LongMessageIsCutBetweenCharacters) {
  std::string accents = "x";
  for (int i = 0; i < 2000; ++i) accents += "\xc3\xa9";
  const std::string cut = to_grpc_alone(Error(Code::kInternal, "long", accents)).error_message();
  EXPECT_EQ(cut.size(), 2047U);
  EXPECT_EQ(cut.back(), '\xa9');
}

}  // namespace
}  // namespace tidegate::rpc
