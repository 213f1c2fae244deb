#!/bin/bash
# Keys are random, so what is printed are digests of fixed input and the answers of verifications.
set -eu
. "$(dirname "$0")/input.sh"
make_input plain 4

for digest in sha256 sha512 sha3-256 blake2b512; do openssl dgst -$digest plain; done
for cipher in aes-256-cbc aes-128-ctr chacha20 camellia-256-cbc; do
    openssl enc -$cipher -pbkdf2 -S 0011223344556677 -pass pass:secret -in plain -out $cipher.enc
    sha256sum $cipher.enc
    openssl enc -d -$cipher -pbkdf2 -S 0011223344556677 -pass pass:secret -in $cipher.enc | cmp - plain
done
openssl base64 -in plain | openssl base64 -d | cmp - plain

sign_and_verify() {
    openssl pkey -in "$1.pem" -pubout -out "$1.pub"
    openssl pkeyutl -sign -rawin -inkey "$1.pem" -in short -out "$1.sig"
    openssl pkeyutl -verify -rawin -pubin -inkey "$1.pub" -in short -sigfile "$1.sig"
}
head -c 1000 plain >short
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem
openssl genpkey -quiet -algorithm ED25519 -out ed.pem
sign_and_verify rsa
sign_and_verify ec
sign_and_verify ed

# An authority, twenty certificates and their verification.
openssl req -x509 -new -key rsa.pem -subj /CN=authority -days 3650 -out ca.crt
for i in $(seq 1 20); do
    openssl req -new -key ec.pem -subj "/CN=host$i/O=example" -out "$i.csr"
    openssl x509 -req -in "$i.csr" -CA ca.crt -CAkey rsa.pem -set_serial "$i" -days 30 -out "$i.crt" 2>/dev/null
    openssl verify -CAfile ca.crt "$i.crt"
    openssl x509 -in "$i.crt" -noout -subject -issuer -serial
done
openssl crl2pkcs7 -nocrl $(printf -- '-certfile %s.crt ' $(seq 1 20)) | openssl pkcs7 -print_certs -noout | grep -c subject
openssl pkcs12 -export -in 1.crt -inkey ec.pem -passout pass:x | openssl pkcs12 -passin pass:x -nokeys -info 2>/dev/null | grep -c BEGIN
