#include "cli/receipt_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/core/encoding.h"
#include "base/receipt/merkle.h"
#include "cli/receipt_verify.h"
#include "tests/unit/base/receipt/receipt_maker.h"

namespace tidegate::cli {
namespace {

using receipt::test::make_key;
using receipt::test::make_receipt;

const Ed25519Key kGateway = make_key(1);
const Ed25519Key kBilling = make_key(2);

std::string text_of(const receipt::Receipt& receipt, const Ed25519Key& key = kGateway) {
  return base64url_encode(receipt::sign_body(receipt::encode_body(receipt), key));
}

std::vector<std::string> chain_of(std::uint64_t count) {
  std::vector<std::string> texts;
  Digest previous{};
  for (std::uint64_t n = 1; n <= count; ++n) {
    const receipt::Receipt receipt = make_receipt(n, previous);
    previous = receipt::link_of(receipt::encode_body(receipt));
    texts.push_back(text_of(receipt));
  }
  return texts;
}

receipt::KeyRing keys() {
  receipt::KeyRing ring;
  EXPECT_TRUE(read_keys(kGateway.public_key().pem() + kBilling.public_key().pem(), "keys.pem", ring));
  return ring;
}

VerifyReport verify(const std::string& text, VerifyRules rules = {}, const std::vector<DayProof>& proofs = {}) {
  return verify_receipts(read_receipts(text, "f"), keys(), proofs, rules);
}

TEST(ReceiptFile, EveryFormInWhichAReceiptTravelsIsRead) {
  const std::string receipt = text_of(make_receipt(1));
  const std::string forms[] = {
      receipt,
      receipt + "\r\n\n",
      R"({"receipt":")" + receipt + R"("})",
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Tidegate-Receipt: " + receipt + "\r\n\r\n",
      "< x-tidegate-receipt: " + receipt,
      "data: {\"id\":\"chatcmpl-1\",\"choices\":[],\"usage\":null}\n\n: x-tidegate-receipt " + receipt +
          "\n\ndata: [DONE]\n",
      "data: {\"id\":\"chatcmpl-1\",\"choices\":[],\"receipt\":\"" + receipt + "\"}\n\ndata: [DONE]\n",
  };
  for (const std::string& form : forms) {
    const VerifyReport report = verify(form);
    EXPECT_EQ(report.sound, 1u) << form;
    EXPECT_TRUE(report.problems.empty()) << form;
  }
}

TEST(ReceiptFile, ALineThatShouldHoldAReceiptAndDoesNotIsReportedWithItsPlace) {
  std::string cut = text_of(make_receipt(1));
  cut.resize(cut.size() / 2 / 4 * 4);
  const VerifyReport report = verify("\n" + cut + "\n{\"receipt\":7}\nx-tidegate-receipt: !\n");
  ASSERT_EQ(report.problems.size(), 3u);
  EXPECT_EQ(report.problems[0].where, "f:2");
  EXPECT_EQ(report.problems[1].where, "f:3");
  EXPECT_EQ(report.problems[2].where, "f:4");
  EXPECT_EQ(report.sound, 0u);
}

TEST(ReceiptVerify, SaysWhatIsWrong) {
  EXPECT_EQ(verify(text_of(make_receipt(1), make_key(9))).problems.at(0).error.reason, "unknown_key");
  receipt::Receipt dear = make_receipt(1);
  dear.amount += Money::from_pico(1);
  EXPECT_EQ(verify(text_of(dear)).problems.at(0).error.reason, "bad_arithmetic");
  std::string bytes = receipt::sign_body(receipt::encode_body(make_receipt(1)), kGateway);
  bytes[10] ^= 1;
  EXPECT_EQ(verify(base64url_encode(bytes)).problems.at(0).error.reason, "bad_signature");
}

TEST(ReceiptVerify, ADroppedReceiptIsAGapWhenTheWholeChainIsClaimed) {
  const auto chain = chain_of(3);
  const std::string all = chain[0] + "\n" + chain[1] + "\n" + chain[2];
  EXPECT_TRUE(verify(all, {.wants_chain = true, .wants_proof = false}).problems.empty());
  EXPECT_EQ(verify(all).links, 2u);
  const std::string dropped = chain[0] + "\n" + chain[2];
  EXPECT_TRUE(verify(dropped).problems.empty()) << "a tenant sees a part of a gateway's chain";
  EXPECT_EQ(verify(dropped, {.wants_chain = true, .wants_proof = false}).problems.at(0).error.reason, "chain_gap");
}

struct DayTree {
  explicit DayTree(std::uint64_t count) {
    Digest previous{};
    for (std::uint64_t n = 1; n <= count; ++n) {
      const receipt::Receipt receipt = make_receipt(n, previous);
      previous = receipt::link_of(receipt::encode_body(receipt));
      texts.push_back(text_of(receipt));
      links.push_back(previous);
      leaves.push_back(merkle::leaf_hash(as_view(previous)));
    }
    const receipt::Checkpoint checkpoint{"tide-test", "receipts/2026-11-22", count, merkle::root_of(leaves), 1};
    signed_root = receipt::sign_body(receipt::encode_body(checkpoint), kBilling);
  }
  std::string proof(std::size_t i) const {
    std::string path;
    for (const Digest& node : merkle::inclusion_proof(leaves, i)) {
      path += fmt::format("{}\"{}\"", path.empty() ? "" : ",", hex_encode(as_view(node)));
    }
    return fmt::format(R"({{"link":"{}","index":{},"path":[{}],"checkpoint":"{}"}})", hex_encode(as_view(links[i])), i,
                       path, base64url_encode(signed_root));
  }
  std::vector<std::string> texts;
  std::vector<Digest> links, leaves;
  std::string signed_root;
};

TEST(ReceiptVerify, AReceiptIsProvedToBeInItsDaysTree) {
  const DayTree day(5);
  const VerifyRules strict{.wants_chain = false, .wants_proof = true};
  for (std::size_t i = 0; i < 5; ++i) {
    const auto apart = read_proofs(day.proof(i) + "\n", "proofs");
    ASSERT_TRUE(apart) << apart.error().to_string();
    EXPECT_EQ(verify(day.texts[i], strict, *apart).proofs, 1u);
    EXPECT_EQ(verify(fmt::format(R"({{"receipt":"{}","proof":{}}})", day.texts[i], day.proof(i)), strict).proofs, 1u);
  }
  EXPECT_EQ(verify(day.texts[0], strict).problems.at(0).error.reason, "no_proof");
  const std::string others = fmt::format(R"({{"receipt":"{}","proof":{}}})", day.texts[0], day.proof(1));
  EXPECT_EQ(verify(others).problems.at(0).error.reason, "not_in_tree");
}

TEST(ReceiptKeys, ThePublishedListCarriesSignersAndValidity) {
  const auto list = [](std::string_view signer, std::int64_t valid_to) {
    receipt::KeyRing ring;
    EXPECT_TRUE(read_keys(
        fmt::format(
            R"({{"keys":[{{"key_id":"x","signer":"{}","public_key":"{}","valid_from_us":1,"valid_to_us":{}}}]}})",
            signer, base64url_encode(kGateway.public_key().raw()), valid_to),
        "keys.json", ring));
    return ring;
  };
  const auto reason = [&](const receipt::KeyRing& ring) {
    const auto report = verify_receipts(read_receipts(text_of(make_receipt(1)), "f"), ring, {}, {});
    return report.problems.empty() ? "sound" : report.problems[0].error.reason;
  };
  EXPECT_EQ(reason(list("gateway/gateway-1", 0)), "sound");
  EXPECT_EQ(reason(list("gateway/gateway-2", 0)), "wrong_signer");
  EXPECT_EQ(reason(list("gateway/gateway-1", 1'000)), "key_retired");
  receipt::KeyRing none;
  EXPECT_EQ(read_keys("hello", "keys.txt", none).error().field, "keys.txt");
}

}  // namespace
}  // namespace tidegate::cli
