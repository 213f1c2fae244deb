#!/bin/bash
# Every object id follows from the content: dates and names are fixed.
set -eu
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 HOME=$PWD
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_AUTHOR_DATE='2020-01-01T00:00:00Z'
export GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org GIT_COMMITTER_DATE='2020-01-02T00:00:00Z'

git init -q -b main origin
cd origin
git config pack.threads 2
git config gc.auto 0
mkdir -p src doc
for round in $(seq 1 12); do
    # awk writes 150 files per round, partly new, partly changed.
    awk -v round="$round" 'BEGIN {
        srand(round)
        for (i = 1; i <= 150; i++) {
            file = (i % 3 ? "src/" : "doc/") "f" (i + round * 20) ".txt"
            for (line = 1; line <= 20 + i; line++) print line, i, (line % 7 == round % 7 ? round : ""), "lorem ipsum" > file
            close(file)
        }
    }'
    git add -A
    git commit -q -m "round $round"
    if [ $((round % 4)) -eq 0 ]; then
        git checkout -q -b "topic$round" HEAD~2
        echo "$round" >"topic$round.txt"
        git add -A
        git commit -q -m "topic $round"
        git checkout -q main
        git merge -q --no-ff -m "merge $round" "topic$round"
    fi
done
git rev-parse HEAD
git log --graph --oneline --stat | sha256sum
git log -p --find-renames --find-copies-harder | sha256sum
git blame -s src/f200.txt | sha256sum
git grep -c 'lorem' | sha256sum

cd ..
git clone -q --no-local origin copy
git clone -q --bare origin bare.git
cd copy
git config pack.threads 2
git gc -q --aggressive --prune=now
git repack -q -a -d -f --depth=50 --window=50
git fsck --full --strict
git count-objects -v | grep -E '^(in-pack|packs|garbage)'
git rebase -q HEAD~3
git rev-parse 'HEAD^{tree}'
git push -q ../bare.git HEAD:refs/heads/pushed
git -C ../bare.git fsck --full --strict
git -C ../bare.git for-each-ref | sha256sum
git archive HEAD | sha256sum
