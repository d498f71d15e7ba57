package main

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// become drops privileges to the user and group. Celery: platforms.py,
// maybe_drop_privileges (5.7): a user without a group means that user's own.
func become(uid, gid string) error {
	if uid == "" && gid == "" {
		return nil
	}
	target, err := lookup(uid, gid)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		if target.uid == os.Geteuid() && target.gid == os.Getegid() {
			return nil
		}
		return usageError("--uid and --gid need root; in a pod set securityContext.runAsUser and runAsGroup instead")
	}
	if err := syscall.Setgroups(target.groups); err != nil {
		return fmt.Errorf("cannot take the groups of --uid: %w", err)
	}
	if err := syscall.Setgid(target.gid); err != nil {
		return fmt.Errorf("cannot take the group of --gid: %w", err)
	}
	if err := syscall.Setuid(target.uid); err != nil {
		return fmt.Errorf("cannot become the user of --uid: %w", err)
	}
	// Dropping must be for good.
	if target.uid != 0 && syscall.Setuid(0) == nil {
		return fmt.Errorf("cannot give up root for --uid: the system let us become root again")
	}
	return nil
}

type identity struct {
	uid, gid int
	groups   []int
}

func lookup(uid, gid string) (identity, error) {
	who := identity{uid: os.Geteuid(), gid: os.Getegid()}
	if uid != "" {
		account, number, err := lookupUser(uid)
		if err != nil {
			return who, err
		}
		who.uid = number
		if account != nil {
			who.gid, _ = strconv.Atoi(account.Gid)
			who.groups = groupsOf(account)
		}
	}
	if gid != "" {
		number, err := lookupGroup(gid)
		if err != nil {
			return who, err
		}
		who.gid = number
	}
	if len(who.groups) == 0 {
		who.groups = []int{who.gid}
	}
	return who, nil
}

// lookupUser: a number needs no entry in /etc/passwd.
func lookupUser(text string) (*user.User, int, error) {
	if number, err := strconv.Atoi(text); err == nil && number >= 0 {
		account, err := user.LookupId(text)
		if err != nil {
			return nil, number, nil
		}
		return account, number, nil
	}
	account, err := user.Lookup(text)
	if err != nil {
		return nil, 0, usageError("there is no user %q (--uid)", text)
	}
	number, err := strconv.Atoi(account.Uid)
	return account, number, err
}

func lookupGroup(text string) (int, error) {
	if number, err := strconv.Atoi(text); err == nil && number >= 0 {
		return number, nil
	}
	group, err := user.LookupGroup(text)
	if err != nil {
		return 0, usageError("there is no group %q (--gid)", text)
	}
	return strconv.Atoi(group.Gid)
}

func groupsOf(account *user.User) []int {
	names, err := account.GroupIds()
	if err != nil {
		return nil
	}
	var groups []int
	for _, name := range names {
		if number, err := strconv.Atoi(name); err == nil {
			groups = append(groups, number)
		}
	}
	return groups
}
