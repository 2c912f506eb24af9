#include "base/crypto/sealed_box.h"

#include <openssl/evp.h>

#include <memory>

#include "base/core/check.h"
#include "base/crypto/openssl_types.h"

namespace tidegate {
namespace {

constexpr char kFormat = 1;
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kHeadBytes = 1 + kNonceBytes;

using namespace openssl;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

unsigned char* bytes_from(std::string& text, std::size_t from) {
  return reinterpret_cast<unsigned char*>(text.data() + from);
}

std::unexpected<Error> bad_seal() {
  return fail(Code::kDataLoss, "bad_seal", "the box was sealed with another key or for another place, or was changed");
}

}  // namespace

std::string seal_box(const Digest& key, std::string_view plain, std::string_view context, EntropySource& entropy) {
  std::string box(kHeadBytes + plain.size() + kTagBytes, '\0');
  box[0] = kFormat;
  entropy.fill(box.data() + 1, kNonceBytes);
  const CipherContext cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int size = 0;
  TG_CHECK(cipher != nullptr);
  // 96 bits is GCM's own length of a nonce: nothing to set.
  TG_CHECK(EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.data(), bytes_from(box, 1)) == 1);
  TG_CHECK(EVP_EncryptUpdate(cipher.get(), nullptr, &size, bytes(context), static_cast<int>(context.size())) == 1);
  TG_CHECK(EVP_EncryptUpdate(cipher.get(), bytes_from(box, kHeadBytes), &size, bytes(plain),
                             static_cast<int>(plain.size())) == 1);
  TG_CHECK(static_cast<std::size_t>(size) == plain.size());
  TG_CHECK(EVP_EncryptFinal_ex(cipher.get(), bytes_from(box, kHeadBytes + plain.size()), &size) == 1);
  TG_CHECK(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, static_cast<int>(kTagBytes),
                               bytes_from(box, kHeadBytes + plain.size())) == 1);
  return box;
}

Result<std::string> open_box(const Digest& key, std::string_view box, std::string_view context) {
  if (box.size() < kHeadBytes + kTagBytes || box[0] != kFormat) return bad_seal();
  const std::string_view nonce = box.substr(1, kNonceBytes);
  const std::string_view text = box.substr(kHeadBytes, box.size() - kHeadBytes - kTagBytes);
  std::string tag(box.substr(box.size() - kTagBytes));
  // One byte more than the text: GCM's final step is given a place though it writes nothing.
  std::string plain(text.size() + 1, '\0');
  const CipherContext cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int size = 0;
  TG_CHECK(cipher != nullptr);
  TG_CHECK(EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.data(), bytes(nonce)) == 1);
  TG_CHECK(EVP_DecryptUpdate(cipher.get(), nullptr, &size, bytes(context), static_cast<int>(context.size())) == 1);
  TG_CHECK(EVP_DecryptUpdate(cipher.get(), bytes_from(plain, 0), &size, bytes(text), static_cast<int>(text.size())) == 1);
  TG_CHECK(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(kTagBytes), tag.data()) == 1);
  if (EVP_DecryptFinal_ex(cipher.get(), bytes_from(plain, text.size()), &size) != 1) return bad_seal();
  plain.resize(text.size());
  return plain;
}

}  // namespace tidegate
